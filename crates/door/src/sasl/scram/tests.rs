//! The examples of RFC 7677 and RFC 5802's rules for names.

use super::*;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CHALLENGE: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const BARE: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO";
const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn begun(password: &str) -> Begun {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let hash = PasswordHash::Sha256;
    let salted = salted_password(hash, password.as_bytes(), &salt, 4096);
    Begun {
        name: "user".into(),
        exists: true,
        credential: credential(hash, &salted, &salt, 4096),
        header: "n,,".into(),
        nonce: NONCE.into(),
        so_far: format!("{BARE},{CHALLENGE}"),
    }
}

fn finish(begun: Begun, text: &str) -> Result<Vec<u8>, Refusal> {
    last(PasswordHash::Sha256, begun, Mechanism::ScramSha256, text).map(|next| match next {
        Next::Done(last, _) => last,
        Next::Challenge(..) => panic!("it is over"),
    })
}

#[test]
fn the_server_answers_as_in_the_rfc() {
    assert_eq!(finish(begun("pencil"), PROOF).unwrap(), LAST.as_bytes());
}

#[test]
fn the_client_answers_as_in_the_rfc() {
    let mut client = Client {
        hash: PasswordHash::Sha256,
        nonce: "rOprNGfwEbeRWgbNEkqO".into(),
        bare: BARE.into(),
        server_signature: Vec::new(),
    };
    assert!(!client.is_server(b"v="), "before anything was proved");
    let proof = client.prove(CHALLENGE.as_bytes(), "pencil").unwrap();
    assert_eq!(proof, PROOF.as_bytes());
    assert!(client.is_server(LAST.as_bytes()));
    assert!(!client.is_server(b"v=AAAA"));
    assert_eq!(client.prove(b"r=another,s=AA==,i=4096", "pencil"), None);
    let busy = CHALLENGE.replace("i=4096", "i=4000000000");
    assert_eq!(client.prove(busy.as_bytes(), "pencil"), None);
}

#[test]
fn a_proof_of_something_else_is_refused() {
    let why = |refused: Result<Vec<u8>, Refusal>| refused.unwrap_err().why;
    assert!(why(finish(begun("pencil2"), PROOF)).contains("invalid password"));
    let stranger = Begun { exists: false, ..begun("pencil") };
    assert!(why(finish(stranger, PROOF)).contains("unknown user"));
    assert!(why(finish(begun("pencil"), &PROOF.replace("k0,p", "k1,p"))).contains("nonce"));
    // `y,,`: the client was told by somebody in between that we can bind channels.
    assert!(why(finish(begun("pencil"), &PROOF.replace("biws", "eSws"))).contains("binding"));
    let longer = PROOF.replace(",p=", ",x=1,p=");
    assert!(why(finish(begun("pencil"), &longer)).contains("invalid password"), "x is not proved");
    for nonsense in
        ["", "p=", ",p=", "c=biws,p=AAAA", "c=!,r=x,p=AAAA", "c=biws,r=x,p=!", "a,b,p=AA=="]
    {
        assert!(finish(begun("pencil"), nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn commas_and_equals_signs_in_a_name_are_escaped() {
    assert_eq!(unescape("a=2Cb=3Dc=3D").as_deref(), Some("a,b=c="));
    assert_eq!(unescape("zoë").as_deref(), Some("zoë"));
    for bad in ["", "=", "a=2", "a=2c", "a=41", "=é", &"x".repeat(256)] {
        assert_eq!(unescape(bad), None, "{bad}");
    }
}
