use std::path::Path;

use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn at(data_dir: &str) -> Layer {
    Layer { data_dir: Some(data_dir.into()), ..Layer::default() }
}

#[test]
fn the_documented_file_is_the_defaults() {
    let text = include_str!("../../../docs/griotd.toml");
    // Every `#key = value` line is a default: uncommented, the file must change nothing.
    let live: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', '#']) && setting.contains('=') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    for source in [text, &live] {
        let layer = Layer::from_toml(source, Path::new("docs/griotd.toml")).unwrap();
        assert_eq!(layer.resolve("/d".into()).unwrap(), Config::defaults("/d".into()));
    }
    assert!(live.contains("\nbest_effort_bytes"), "the example lost its settings");
}

#[test]
fn an_unknown_key_is_refused_with_what_was_meant() {
    let path = Path::new("griotd.toml");
    let say = |text: &str| Layer::from_toml(text, path).unwrap_err().to_string();
    assert!(say("netwrok = \"x\"").contains("did you mean `network`?"));
    assert!(say("[limits]\nmember_mailbox = 3").contains("did you mean `limits.member_mailboxes`?"));
    assert!(say("[api]\nzzzz = 3").contains("known here: listen, cert"));
    let wrong_type = say("bits = \"four\"");
    assert!(wrong_type.contains("line 1"), "{wrong_type}");
    assert!(say("listen = [\"127.0.0.1:1\"]").contains("line 1"));
}

#[test]
fn flags_beat_environment_beats_file_beats_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = "network = \"from-file\"\nbits = 3\npostage_bits = 9\n[api]\ncert = \"c.pem\"\nkey = \"k.pem\"\n";
    std::fs::write(dir.path().join(CONFIG_NAME), file).unwrap();
    let env = |name: &str| match name {
        "GRIOT_NETWORK" => Some("from-env".to_owned()),
        "GRIOT_BITS" => Some("4".to_owned()),
        "GRIOT_LISTEN" => Some("/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2".to_owned()),
        "GRIOT_PEER" => Some(String::new()),
        _ => None,
    };
    let flags = Layer {
        data_dir: Some(dir.path().to_owned()),
        network: Some("from-flags".parse().unwrap()),
        ..Layer::default()
    };
    let config = Config::load(flags, env).unwrap();
    assert_eq!(config.network.name.as_str(), "from-flags");
    assert_eq!(config.network.bits.get(), 4);
    assert_eq!(config.network.postage_bits, 9);
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.api.tls.unwrap().cert, dir.path().join("c.pem"), "relative to the file");
    assert_eq!(config.api.listen.port(), API_PORT);
}

#[test]
fn peers_are_allowed_and_blocked_by_their_ids() {
    let path = Path::new("griotd.toml");
    let peer = |n: u8| crate::identity::Identity::from_bytes(&[n; 32]).unwrap().peer_id();
    let file = format!("block_peers = [\"{}\"]\nallow_peers = [\"{}\"]", peer(1), peer(2));
    let config = Layer::from_toml(&file, path).unwrap().resolve("/d".into()).unwrap();
    assert_eq!((config.block_peers, config.allow_peers), (vec![peer(1)], vec![peer(2)]));
    let env = |name: &str| (name == "GRIOT_BLOCK_PEERS").then(|| format!("{},{}", peer(1), peer(3)));
    assert_eq!(Config::load(at("/d"), env).unwrap().block_peers, [peer(1), peer(3)]);
    let wrong = Layer::from_toml("block_peers = [\"Awa\"]", path).unwrap_err().to_string();
    assert!(wrong.contains("line 1") && wrong.contains("`Awa`"), "{wrong}");
    // Who is to be stayed connected to must not be kept out.
    let dialled = |n: u8| Some(vec![format!("/ip4/10.0.0.1/tcp/1/p2p/{}", peer(n)).parse().unwrap()]);
    let listed = |block: Option<Vec<_>>, allow: Option<Vec<_>>, n: u8| {
        Config::load(Layer { block_peers: block, allow_peers: allow, peers: dialled(n), ..at("/d") }, no_env)
    };
    assert!(listed(Some(vec![peer(1)]), None, 1).unwrap_err().to_string().contains("block_peers"));
    assert!(listed(None, Some(vec![peer(2)]), 1).unwrap_err().to_string().contains("allow_peers"));
    assert!(listed(Some(vec![peer(3)]), Some(vec![peer(1)]), 1).is_ok());
}

#[test]
fn the_data_directory_is_found_as_documented() {
    let env = |home: &'static str, xdg: &'static str| {
        move |name: &str| match name {
            "HOME" => Some(home.to_owned()),
            "XDG_DATA_HOME" => Some(xdg.to_owned()),
            _ => None,
        }
    };
    assert_eq!(Config::load(Layer::default(), env("/h", "")).unwrap().data_dir, Path::new("/h/.local/share/griot"));
    assert_eq!(Config::load(Layer::default(), env("/h", "/x")).unwrap().data_dir, Path::new("/x/griot"));
}

#[test]
fn unsafe_or_impossible_settings_are_refused_with_the_cure() {
    let say = |layer: Layer| Config::load(layer, no_env).unwrap_err().to_string();
    let mut open = at("/d");
    open.api.listen = Some("0.0.0.0:7700".parse().unwrap());
    assert!(say(open.clone()).contains("--api-tls"));
    open.api.insecure_http = Some(true);
    assert!(Config::load(open, no_env).is_ok());

    assert!(say(at(&format!("/{}", "d".repeat(98)))).contains("shorter --data-dir"));
    assert!(Config::load(at(&format!("/{}", "d".repeat(97))), no_env).is_ok());

    assert!(say(Layer { carry: Some(vec![4]), bits: Some(2), ..at("/d") }).contains("0 to 3"));
    assert!(say(Layer { bits: Some(17), ..at("/d") }).contains("0 to 16"));
    let mut half = at("/d");
    half.api.cert = Some("c.pem".into());
    assert!(say(half).contains("private key"));
    let env = |name: &str| (name == "GRIOT_NO_DISCOVERY").then(|| "maybe".to_owned());
    assert!(Config::load(at("/d"), env).unwrap_err().to_string().contains("say 1 or 0"));
}
