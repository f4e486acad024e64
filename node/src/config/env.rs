//! Environment variables: `GRIOT_` and the flag's name in capitals. Lists are separated by commas.

use std::str::FromStr;

use super::{ApiLayer, ConfigError, Layer, LogFormat, LogLayer, MembersPolicy};

impl Layer {
    pub(super) fn from_env(var: &impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // An empty variable is as good as none: service files often set them so.
        let text = |name: &str| var(name).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(Into::into);
        Ok(Self {
            config: path("GRIOT_CONFIG"),
            data_dir: path("GRIOT_DATA_DIR"),
            network: parse("GRIOT_NETWORK", &text)?,
            bits: parse("GRIOT_BITS", &text)?,
            postage_bits: parse("GRIOT_POSTAGE_BITS", &text)?,
            listen: list("GRIOT_LISTEN", &text)?,
            peers: list("GRIOT_PEER", &text)?,
            announce: list("GRIOT_ANNOUNCE", &text)?,
            relay_for_others: switch("GRIOT_RELAY_FOR_OTHERS", &text)?,
            use_relays: switch("GRIOT_USE_RELAYS", &text)?,
            discovery: switch("GRIOT_NO_DISCOVERY", &text)?.map(|off| !off),
            mdns: switch("GRIOT_NO_MDNS", &text)?.map(|off| !off),
            allow_peers: list("GRIOT_ALLOW_PEERS", &text)?,
            block_peers: list("GRIOT_BLOCK_PEERS", &text)?,
            carry: list("GRIOT_CARRY", &text)?,
            members: text("GRIOT_MEMBERS").map(|value| members("GRIOT_MEMBERS", &value)).transpose()?,
            metrics: parse("GRIOT_METRICS", &text)?,
            api: ApiLayer {
                listen: parse("GRIOT_API", &text)?,
                cert: path("GRIOT_API_CERT"),
                key: path("GRIOT_API_KEY"),
                insecure_http: switch("GRIOT_INSECURE_HTTP", &text)?,
                ..ApiLayer::default()
            },
            limits: Default::default(),
            log: LogLayer {
                format: text("GRIOT_LOG_FORMAT").map(|value| log_format("GRIOT_LOG_FORMAT", &value)).transpose()?,
                level: text("GRIOT_LOG"),
            },
        })
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    text: &impl Fn(&str) -> Option<String>,
) -> Result<Option<T>, ConfigError> {
    text(name).map(|value| value.parse().map_err(|error| wrong(name, &value, error))).transpose()
}

fn list<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    text: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Vec<T>>, ConfigError> {
    let Some(value) = text(name) else { return Ok(None) };
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| item.parse().map_err(|error| wrong(name, item, error))).collect::<Result<_, _>>().map(Some)
}

fn switch(name: &'static str, text: &impl Fn(&str) -> Option<String>) -> Result<Option<bool>, ConfigError> {
    let Some(value) = text(name) else { return Ok(None) };
    match value.as_str() {
        "1" | "true" | "yes" | "on" => Ok(Some(true)),
        "0" | "false" | "no" | "off" => Ok(Some(false)),
        _ => Err(wrong(name, &value, "say 1 or 0")),
    }
}

fn members(name: &'static str, value: &str) -> Result<MembersPolicy, ConfigError> {
    match value {
        "open" => Ok(MembersPolicy::Open),
        "invite" => Ok(MembersPolicy::Invite),
        "closed" => Ok(MembersPolicy::Closed),
        _ => Err(wrong(name, value, "say open, invite or closed")),
    }
}

fn log_format(name: &'static str, value: &str) -> Result<LogFormat, ConfigError> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(wrong(name, value, "say text or json")),
    }
}

fn wrong(name: &'static str, value: &str, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::value(name, format!("`{value}`: {error}"))
}
