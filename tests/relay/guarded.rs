//! A house with a certificate and users, where nobody may relay for where he comes from; and a client that speaks TLS to it.

use crate::client::Reply;
use crate::house::House;
use crate::process::Process;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

/// A file that only we may read, new each time, as certbot would write it.
pub fn write_secret(path: &Path, text: &str) {
    let new = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Where the certificate and the key of a house are.
pub fn pem(house: &House) -> (PathBuf, PathBuf) {
    (house.path().join("chain.pem"), house.path().join("key.pem"))
}

/// Writes a new certificate for relay.test; what a client trusts from now on.
pub fn certify(house: &House) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["relay.test".to_string()]).unwrap();
    let (certificate, key) = pem(house);
    write_secret(&certificate, &made.cert.pem());
    write_secret(&key, &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

/// `sendoff passwd --file FILE NAME`, with this on its standard input.
pub fn passwd(file: &Path, name: &str, password: &str) -> Output {
    let input = file.with_extension("in");
    std::fs::write(&input, format!("{password}\n")).unwrap();
    let (out, err) = (file.with_extension("out"), file.with_extension("err"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
    command.arg("passwd").arg("--file").arg(file).arg(name);
    command.stdin(File::open(input).unwrap());
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let status = Process::start(&mut command).wait_end("sendoff passwd");
    Output { status, stdout: std::fs::read(out).unwrap(), stderr: std::fs::read(err).unwrap() }
}

/// Not started yet: a certificate, ann with the password `sesame`, both doors, and nobody to relay but who authenticates.
pub fn guarded() -> (House, CertificateDer<'static>) {
    let house = House::new();
    let root = certify(&house);
    let ((certificate, key), users) = (pem(&house), house.path().join("users"));
    let said = passwd(&users, "ann", "sesame");
    assert!(said.status.success(), "{said:?}");
    let pair = format!("[{{ certificate = \"{}\", key = \"{}\" }}]", certificate.display(), key.display());
    let house = house
        .set("listen.certificates", pair)
        .set("listen.smtps", "[\"127.0.0.1:0\"]")
        .set("listen.relay_from", "[\"192.0.2.0/24\"]")
        .set("auth.users", users.display());
    (house, root)
}

/// Where TLS comes first.
#[track_caller]
pub fn smtps_addr(house: &House) -> SocketAddr {
    let out = std::fs::read_to_string(house.path().join("relay.out")).unwrap();
    let addr = out.split_ascii_whitespace().find_map(|word| word.strip_prefix("smtps="));
    addr.unwrap_or_else(|| panic!("{out}")).parse().unwrap()
}

/// A client's side of TLS that trusts this certificate.
pub fn client_side(root: &CertificateDer<'static>) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("relay.test").unwrap()).unwrap()
}

/// A client within TLS.
pub struct SecureClient(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl SecureClient {
    /// The handshake on a connection where TLS is to begin.
    pub fn over(stream: TcpStream, root: &CertificateDer<'static>) -> io::Result<SecureClient> {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(client_side(root), stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(SecureClient(BufReader::new(stream)))
    }

    /// At the door where TLS comes first, to the banner.
    #[track_caller]
    pub fn connect(house: &House, root: &CertificateDer<'static>) -> SecureClient {
        let stream = TcpStream::connect(smtps_addr(house)).unwrap();
        let mut client = SecureClient::over(stream, root).unwrap();
        assert_eq!(client.hear().unwrap().code, 220);
        client
    }

    /// The certificate that the house has shown.
    pub fn shown(&self) -> CertificateDer<'static> {
        self.0.get_ref().conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Reads one reply.
    pub fn hear(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            lines.push(line.get(4..).unwrap_or("").to_string());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code: line[..3].parse().unwrap(), lines });
            }
        }
    }

    /// Sends these octets.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.0.get_mut().write_all(text.as_bytes())?;
        self.0.get_mut().flush()
    }

    /// Sends a line and reads the reply.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> Reply {
        self.say(&format!("{line}\r\n")).unwrap();
        self.hear().unwrap()
    }

    /// Each line in turn, and the code it is answered with.
    #[track_caller]
    pub fn dialogue(&mut self, lines: &[(&str, u16)]) {
        for (line, code) in lines {
            let reply = self.ask(line);
            assert_eq!(reply.code, *code, "{line:?} was answered {reply}");
        }
    }
}
