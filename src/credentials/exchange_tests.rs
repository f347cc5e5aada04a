//! Exchanges of AUTH, from the vectors of the standards and from clients that know none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::{Claim, Evidence, Exchange, Malformed, Mechanism, Step, Users};

/// RFC 7677, 3.
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
/// "pencil", with the salt of the RFC.
const LINE: &str = "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
    wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

fn users() -> Users {
    Users::parse(LINE).unwrap()
}

/// The responses in turn: the last challenge, or the claim.
fn exchange(mechanism: Mechanism, responses: &[&[u8]]) -> Result<(Vec<u8>, Option<Claim>), Malformed> {
    let (users, mut exchange) = (users(), Exchange::begin(mechanism));
    let mut said = exchange.first_challenge().to_vec();
    for response in responses {
        match exchange.respond(response, &users, SERVER_NONCE)? {
            Step::Challenge(next, challenge) => (exchange, said) = (next, challenge),
            Step::Claim(claim) => return Ok((said, Some(claim))),
        }
    }
    Ok((said, None))
}

fn scram(first: &str, last: &str) -> Result<Option<String>, Malformed> {
    let (_, claim) = exchange(Mechanism::ScramSha256, &[first.as_bytes(), last.as_bytes()])?;
    match claim.unwrap().evidence {
        Evidence::Proof(last) => Ok(last),
        Evidence::Password(_) => panic!("a password"),
    }
}

#[test]
fn the_exchange_of_rfc_7677_is_ours() {
    let (first, none) = exchange(Mechanism::ScramSha256, &[CLIENT_FIRST.as_bytes()]).unwrap();
    assert_eq!((String::from_utf8(first).unwrap().as_str(), none.is_none()), (SERVER_FIRST, true));
    assert_eq!(scram(CLIENT_FIRST, CLIENT_LAST), Ok(Some(SERVER_LAST.to_owned())));
}

#[test]
fn a_proof_of_another_password_is_none() {
    let other = CLIENT_LAST.replace("dHzb", "dHzc");
    assert_eq!(scram(CLIENT_FIRST, &other), Ok(None));
    // Somebody who is not there gets a salt all the same, the same one each time.
    let stranger = b"n,,n=stranger,r=abc";
    let one = exchange(Mechanism::ScramSha256, &[stranger]).unwrap().0;
    assert_eq!(one, exchange(Mechanism::ScramSha256, &[stranger]).unwrap().0);
    let text = String::from_utf8(one).unwrap();
    assert!(text.ends_with(",i=4096") && !text.contains("W22Za"), "{text}");
}

#[test]
fn what_is_no_scram_is_refused() {
    for first in [
        "",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=abc,n=user",
        "n,,n=,r=abc",
        "n,,n=us=er,r=abc",
        "n,,n=us=2cer,r=abc",
        "n,,m=x,n=user,r=abc",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,a=other,n=user,r=abc",
        "p=tls-unique,,n=user,r=abc",
        "x,,n=user,r=abc",
        "n,,n=user\0,r=\u{e9}",
    ] {
        assert!(exchange(Mechanism::ScramSha256, &[first.as_bytes()]).is_err(), "{first}");
    }
    for first in ["y,,n=user,r=abc", "n,a=user,n=user,r=abc", "n,,n=a=2Cb=3D,r=abc,x=new"] {
        assert!(exchange(Mechanism::ScramSha256, &[first.as_bytes()]).is_ok(), "{first}");
    }
    for (from, to) in
        [("c=biws", "c=eSws"), ("r=rOpr", "r=rOps"), ("k0,p=", "k1,p="), (",p=dHzb", ",p=zb"), (",p=", ",q=")]
    {
        let last = CLIENT_LAST.replacen(from, to, 1);
        assert_eq!(scram(CLIENT_FIRST, &last), Err(Malformed), "{last}");
    }
    // A client that would have bound the channel says so in its last message too.
    let first = CLIENT_FIRST.replacen('n', "y", 1);
    assert_eq!(scram(&first, CLIENT_LAST), Err(Malformed));
    assert_eq!(scram(&first, &CLIENT_LAST.replace("biws", &STANDARD.encode("y,,"))), Ok(None));
}

#[test]
fn names_and_passwords_are_taken_apart() {
    let said = |mechanism, responses: &[&[u8]]| {
        let (_, claim) = exchange(mechanism, responses)?;
        let Claim { name, evidence } = claim.unwrap();
        let Evidence::Password(password) = evidence else { panic!("no password") };
        Ok((name, String::from_utf8_lossy(&password).into_owned()))
    };
    let both = |name: &str, password: &str| Ok((name.to_owned(), password.to_owned()));
    assert_eq!(said(Mechanism::Plain, &[b"\0tim\0tanstaaf tanstaaf"]), both("tim", "tanstaaf tanstaaf"));
    assert_eq!(said(Mechanism::Plain, &[b"tim\0tim\0x"]), both("tim", "x"));
    assert_eq!(said(Mechanism::Login, &[b"tim", b"pass\0word"]), both("tim", "pass\0word"));
    let long = [&b"\0tim\0"[..], &[b'x'; 1025]].concat();
    for response in
        [&b""[..], b"tim\0x", b"ann\0tim\0x", b"\0\0x", b"\0tim\0", b"\0tim\0x\0", b"\0\xff\0x", &long]
    {
        assert_eq!(said(Mechanism::Plain, &[response]), Err(Malformed), "{response:?}");
    }
    assert_eq!(said(Mechanism::Login, &[b""]), Err(Malformed));
    assert_eq!(exchange(Mechanism::Login, &[]).unwrap().0, b"Username:");
    assert_eq!(exchange(Mechanism::Login, &[b"tim"]).unwrap().0, b"Password:");
}

#[test]
fn no_password_is_ever_shown() {
    let (_, claim) = exchange(Mechanism::Plain, &[b"\0tim\0sesame"]).unwrap();
    let shown = format!("{claim:?} {:?}", users());
    assert!(shown.contains("tim") && !shown.contains("sesame") && !shown.contains("115"), "{shown}");
}

proptest! {
    #[test]
    fn any_response_gives_a_value(
        responses in prop::collection::vec("[ny],(a=u)?,n=[u=2C]{0,4},r=.{0,9}|\\PC{0,30}|c=biws,r=.{0,9},p=[a=]{0,9}", 1..3),
        n in 0usize..3,
    ) {
        let responses: Vec<_> = responses.iter().map(String::as_bytes).collect();
        let _ = exchange(Mechanism::ALL[n], &responses);
    }
}
