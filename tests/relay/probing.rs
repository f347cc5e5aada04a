//! `sendoff probe` towards hosts with TLS: the handshake is made, the certificate shown and judged.

use crate::house::House;
use crate::operating::{done, err, out};
use crate::peer::{Authority, Begins, SecureHost, Trick, self_signed};
use rustls::ServerConfig;
use std::sync::Arc;

fn host(house: &House, domain: &str, tls: Arc<ServerConfig>, trick: Trick) -> SecureHost {
    let host = SecureHost::start(house.addr(), tls, Begins::Starttls, trick);
    house.domain(domain, &host);
    host
}

/// A house that asks for this, with an authority it believes. It is not started: a probe needs no relay.
fn house(outbound: &str) -> (House, Authority) {
    let (authority, house) = (Authority::new(), House::new());
    let roots = authority.roots(house.path());
    (house.set("tls.outbound", outbound).set("tls.roots", roots.display()), authority)
}

/// On one line: what is long is folded.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_probe_says_what_tls_would_be_and_whether_the_certificate_would_be_trusted() {
    let (house, authority) = house("opportunistic");
    let _stranger = host(&house, "x.test", self_signed("someone.else"), Trick::None);
    let shown = flat(&done(&house, &["probe", "x.test"]));
    for words in [
        "> STARTTLS",
        "starttls TLSv1.3 with TLS_AES_256_GCM_SHA384",
        "proof a certificate for someone.else, until ",
        "would not be trusted: its certificate is ",
        "> QUIT",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let _proven = host(&house, "y.test", authority.host("mx.y.test"), Trick::None);
    let document = house.json(&["probe", "y.test"]);
    let tls = &document["tls"];
    assert_eq!((&tls["version"], &tls["trusted"]), (&"TLSv1.3".into(), &false.into()), "{document}");
    assert!(tls["names"][0] == "mx.y.test" && tls["doubt"].is_null() && tls["ends"].is_i64(), "{document}");
    // One whose handshake fails is spoken to in the clear, as a delivery would.
    let _broken = host(&house, "z.test", self_signed("mx.z.test"), Trick::Says("no handshake\r\n"));
    let shown = flat(&done(&house, &["probe", "z.test"]));
    assert!(shown.contains("a delivery tries it again in the clear"), "{shown}");
    assert!(shown.contains("starttls the last handshake failed: "), "{shown}");
}

#[test]
fn a_probe_that_must_verify_says_why_it_would_not_deliver() {
    let (house, authority) = house("verify");
    let _expired = host(&house, "x.test", authority.expired("mx.x.test"), Trick::None);
    let output = house.run(&["probe", "x.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(err(&output).contains("its certificate has expired"), "{output:?}");
    let _proven = host(&house, "y.test", authority.host("mx.y.test"), Trick::None);
    let output = house.run(&["probe", "y.test"]);
    assert!(output.status.success() && flat(&out(&output)).contains(": trusted"), "{output:?}");
    let plain = house.good("z.test");
    let output = house.run(&["probe", "z.test"]);
    assert!(output.status.code() == Some(75) && err(&output).contains("does not offer TLS"), "{output:?}");
    assert!(plain.messages().is_empty());
}
