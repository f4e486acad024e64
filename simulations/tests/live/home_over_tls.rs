//! A home on another machine: TLS on the API, a member's token, and a pinned certificate.

use griot_client::home::Fingerprint;
use griot_simulations::live::{
    node::{NodeOptions, NodeProcess},
    person::Person,
};

struct Certificate {
    dir: tempfile::TempDir,
    fingerprint: String,
}

fn certificate() -> Certificate {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let fingerprint = Fingerprint::of(made.cert.der()).unwrap().to_string();
    Certificate { dir, fingerprint }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_member_with_token_and_pin_is_served_and_nobody_else() {
    let certificate = certificate();
    let port = free_port();
    let path = |name: &str| certificate.dir.path().join(name).display().to_string();
    let args = ["--api-tls", &path("cert.pem"), &path("key.pem")];
    let node = NodeProcess::start(NodeOptions {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        api: Some(format!("127.0.0.1:{port}")),
        ..NodeOptions::default()
    })
    .unwrap();
    let added = node.command(&["member", "add", "Awa"]).unwrap();
    let token = added.split_whitespace().last().unwrap().to_owned();
    let url = format!("https://localhost:{port}");

    let kofi = Person::init("Kofi", &[node.url()]).unwrap();
    let awa = Person::uninitialised().unwrap();
    let init = |fingerprint: &str, token: &str| {
        awa.output(&["init", "--name", "Awa", "--node", &url, "--token", token, "--fingerprint", fingerprint]).unwrap()
    };
    let good = init(&certificate.fingerprint, &token);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    kofi.befriend(&awa).unwrap();
    awa.send("Kofi", "from another machine", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["from another machine"]);

    // With another pin, or another token, nothing is accepted: the message waits.
    let stranger = Person::uninitialised().unwrap();
    let wrong_pin = "0".repeat(64);
    for (pin, token) in [(wrong_pin.as_str(), token.as_str()), (certificate.fingerprint.as_str(), "not-a-token")] {
        let args = ["init", "--name", "Eve", "--node", &url, "--token", token, "--fingerprint", pin];
        let _ = stranger.output(&args).unwrap();
        let link = kofi.run(&["invite"]).unwrap();
        assert_ne!(stranger.output(&["connect", link.trim()]).unwrap().status.code(), Some(0), "pin {pin}");
    }
}
