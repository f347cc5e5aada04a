//! The kernel's table of IPv4 TCP sockets, `/proc/net/tcp`: the truth about connections that nobody accepted.
//!
//! Both ends of a loopback connection stand in it, so it also tells what the other side has done with its end when our
//! end cannot know yet.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The states this harness asks about, as `include/net/tcp_states.h` numbers them.
pub const ESTABLISHED: u8 = 1;
pub const CLOSE_WAIT: u8 = 8;

/// One socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: u8,
}

/// All sockets now. Each read walks the kernel's table, so with tens of thousands of sockets it costs milliseconds.
pub fn rows() -> Vec<Row> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).filter_map(row).collect()
}

/// `  0: 0100007F:1F90 00000000:0000 0A ...`: addresses are hexadecimal, the IP in the machine's byte order.
fn row(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace().skip(1);
    Some(Row {
        local: address(words.next()?)?,
        remote: address(words.next()?)?,
        state: u8::from_str_radix(words.next()?, 16).ok()?,
    })
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = Ipv4Addr::from(u32::from_str_radix(ip, 16).ok()?.to_ne_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::V4(SocketAddrV4::new(ip, port)))
}

#[test]
fn a_listener_is_in_the_table() {
    let listener = std::net::TcpListener::bind(SocketAddr::from((crate::street::next_ip(), 0)));
    let addr = listener.as_ref().unwrap().local_addr().unwrap();
    assert!(rows().iter().any(|row| row.local == addr && row.state == 10));
}
