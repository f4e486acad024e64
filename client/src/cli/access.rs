//! Homes as they are typed: URLs, and the tokens and fingerprints that belong to them.

use std::path::Path;

use super::args::AccessArgs;
use crate::{
    core::NewHome,
    home::{Fingerprint, HomeUrl},
};

/// A URL in the one form that is stored: `unix:` paths absolute, names in lower case.
pub(super) fn normal_url(url: &str) -> Result<String, String> {
    let parsed: HomeUrl = url.parse().map_err(|e: crate::home::UrlError| e.to_string())?;
    Ok(match parsed {
        HomeUrl::Unix(path) => HomeUrl::Unix(absolute(&path)).to_string(),
        other => other.to_string(),
    })
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Gives each home its token and fingerprint: one for each that can have one, in order, or none at all. Anything else
/// would hand one node another node's token.
pub(super) fn pair(urls: &[String], access: &AccessArgs) -> Result<Vec<NewHome>, String> {
    let parsed: Vec<HomeUrl> = urls
        .iter()
        .map(|url| url.parse().map_err(|e: crate::home::UrlError| e.to_string()))
        .collect::<Result<_, _>>()?;
    let over_network = parsed.iter().filter(|url| !matches!(url, HomeUrl::Unix(_))).count();
    let over_tls = parsed.iter().filter(|url| matches!(url, HomeUrl::Https { .. })).count();
    check_count("--token", access.tokens.len(), over_network, "http(s)")?;
    check_count("--fingerprint", access.fingerprints.len(), over_tls, "https")?;
    let (mut tokens, mut pins) = (access.tokens.iter(), access.fingerprints.iter());
    let mut homes = Vec::with_capacity(parsed.len());
    for (url, text) in parsed.iter().zip(urls) {
        url.check_plain(access.insecure_http).map_err(|e| e.to_string())?;
        let token = if matches!(url, HomeUrl::Unix(_)) { None } else { tokens.next().cloned() };
        let pin = if matches!(url, HomeUrl::Https { .. }) { pins.next() } else { None };
        let pin = pin.map(|pin| pin.parse::<Fingerprint>().map_err(|e| e.to_string())).transpose()?;
        let url = normal_url(text)?;
        if homes.iter().any(|home: &NewHome| home.url == url) {
            return Err(format!("{url} is given twice: each home once"));
        }
        homes.push(NewHome {
            url,
            token,
            fingerprint: pin.map(|pin| pin.to_string()),
            insecure_http: access.insecure_http,
        });
    }
    Ok(homes)
}

fn check_count(option: &str, given: usize, homes: usize, kind: &str) -> Result<(), String> {
    if given == 0 || given == homes {
        return Ok(());
    }
    Err(format!(
        "{option} is given {given} times for {homes} {kind} homes: give it once for each, in order, \
         or add homes one by one with `griot home add`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(all: &[&str]) -> Vec<String> {
        all.iter().map(|&url| url.to_owned()).collect()
    }

    fn tokens(all: &[&str]) -> AccessArgs {
        AccessArgs { tokens: urls(all), ..AccessArgs::default() }
    }

    #[test]
    fn each_home_gets_its_own_token_and_no_other() {
        let homes = pair(&urls(&["unix:/x", "https://a", "https://b"]), &tokens(&["ta", "tb"])).unwrap();
        let got: Vec<Option<&str>> = homes.iter().map(|home| home.token.as_deref()).collect();
        assert_eq!(got, [None, Some("ta"), Some("tb")]);
        assert!(pair(&urls(&["https://a", "https://b"]), &tokens(&["t"])).is_err());
        assert!(pair(&urls(&["unix:/x"]), &tokens(&["t"])).is_err());
        assert!(pair(&urls(&["http://10.0.0.1"]), &tokens(&[])).unwrap_err().contains("--insecure-http"));
        assert!(pair(&urls(&["unix:/x", "unix:///x"]), &tokens(&[])).unwrap_err().contains("given twice"));
        let pinned = AccessArgs { fingerprints: urls(&["zz"]), ..AccessArgs::default() };
        assert!(pair(&urls(&["https://a"]), &pinned).unwrap_err().contains("64 hex digits"));
    }

    #[test]
    fn urls_are_stored_in_one_form() {
        assert_eq!(normal_url("HTTPS://A.example/").unwrap(), "https://a.example");
        assert_eq!(normal_url("unix:///x").unwrap(), "unix:/x");
        assert!(normal_url("unix:x").unwrap().ends_with("/x"));
        assert!(normal_url("unix:x").unwrap().starts_with("unix:/"));
    }
}
