//! Every value of a scenario is looked at before anything is made from it: hostile or mistyped, it gets a sentence that says
//! what to do.

use super::{
    AdversaryKind, CentralKind, CommunitiesBy, FaultKind, FaultSection, JitterSection, LatencySection, Law,
    OnlineSection, Scenario, Selector, Span, TopologySection, clock::Clock, limits, parse::Problem, parse_moment,
};

/// Checks a scenario.
///
/// # Errors
/// The first [`Problem`] found.
pub fn check(scenario: &Scenario) -> Result<(), Problem> {
    head(scenario)?;
    network(scenario)?;
    people(scenario)?;
    workload(scenario)?;
    if scenario.faults.len() > limits::FAULTS_MAX {
        return Err(Problem::new(
            "faults",
            format!("at most {} entries; write `every` instead of many", limits::FAULTS_MAX),
        ));
    }
    for (place, fault) in scenario.faults.iter().enumerate() {
        check_fault(scenario, fault, &format!("faults.{place}"))?;
    }
    adversaries(scenario)?;
    comparison(scenario)
}

fn fail<T>(key: impl Into<String>, what: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::new(key, what))
}

/// A number must lie between two others.
fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, min: T, max: T) -> Result<(), Problem> {
    if value >= min && value <= max { Ok(()) } else { fail(key, format!("{value} is not between {min} and {max}")) }
}

fn share(key: &str, value: f64) -> Result<(), Problem> {
    within(key, value, 0.0, 1.0)
}

fn positive(key: &str, value: f64, max: f64) -> Result<(), Problem> {
    within(key, value, 0.0, max)
}

fn head(scenario: &Scenario) -> Result<(), Problem> {
    let name_fits = !scenario.name.is_empty()
        && scenario.name.len() <= 64
        && scenario.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_fits {
        return fail("name", "lower-case letters, digits and `-` only, 64 at most: a folder is named after it");
    }
    parse_moment(&scenario.starts_at).map_err(|what| Problem::new("starts_at", what))?;
    within("compress", scenario.compress, 1, limits::COMPRESS_MAX)?;
    let run_ms = Clock::new(scenario.compress, 0).ms(scenario.duration);
    if !(limits::DURATION_MS_MIN..=limits::DURATION_MS_MAX).contains(&run_ms) {
        return fail(
            "duration",
            format!(
                "the run would last {} (duration / compress); between {} and {} is possible",
                Span(run_ms),
                Span(limits::DURATION_MS_MIN),
                Span(limits::DURATION_MS_MAX)
            ),
        );
    }
    Ok(())
}

fn network(scenario: &Scenario) -> Result<(), Problem> {
    let network = &scenario.network;
    within("network.nodes", network.nodes, 1, limits::NODES_MAX)?;
    within("network.bits", network.bits, 0, griot_protocol::limits::SHARD_BITS_MAX)?;
    // 16 bits are 65,536 hashes a record: a run would do little else.
    within("network.postage_bits", network.postage_bits, 0, 16)?;
    within("network.fsync", network.fsync.ms(), 0, 10_000)?;
    let degree = |key: &str, degree: u32| within(key, degree, 1, limits::DEGREE_MAX);
    match &scenario.topology {
        TopologySection::Regular { degree: d } => degree("topology.degree", *d)?,
        TopologySection::SmallWorld { degree: d, rewire } => {
            degree("topology.degree", *d)?;
            share("topology.rewire", *rewire)?;
            if d % 2 == 1 {
                return fail("topology.degree", "a small world needs an even number: half of them on either side");
            }
        }
        TopologySection::ScaleFree { links } => degree("topology.links", *links)?,
        TopologySection::Communities { by, size, degree: d, gateways, gateway_links } => {
            degree("topology.degree", *d)?;
            degree("topology.gateway_links", *gateway_links)?;
            within("topology.gateways", *gateways, 1, limits::NODES_MAX)?;
            within("topology.size", *size, 1, limits::NODES_MAX)?;
            if *by == CommunitiesBy::Region && scenario.regions.is_empty() {
                return fail("topology.by", "there are no `[[regions]]` to make communities of");
            }
        }
        TopologySection::File { path } => {
            if path.is_empty() {
                return fail("topology.path", "name a GraphML file or an edge list");
            }
        }
    }
    regions(scenario)?;
    latency(scenario)?;
    share("bandwidth.slow_share", scenario.bandwidth.slow_share)?;
    share("nat.share", scenario.nat.share)
}

fn regions(scenario: &Scenario) -> Result<(), Problem> {
    if scenario.regions.is_empty() {
        return Ok(());
    }
    if scenario.regions.len() > limits::REGIONS_MAX {
        return fail("regions", format!("at most {}", limits::REGIONS_MAX));
    }
    for (place, region) in scenario.regions.iter().enumerate() {
        share(&format!("regions.{place}.share"), region.share)?;
        if scenario.regions[..place].iter().any(|other| other.name == region.name) {
            return fail(format!("regions.{place}.name"), format!("there are two regions `{}`", region.name));
        }
    }
    let total: f64 = scenario.regions.iter().map(|region| region.share).sum();
    if (total - 1.0).abs() > 1e-6 {
        return fail("regions", format!("the shares add up to {total:.3}; they must add up to 1"));
    }
    Ok(())
}

fn latency(scenario: &Scenario) -> Result<(), Problem> {
    let ms = |key: &str, value: u32| within(key, value, 0, limits::LATENCY_MS_MAX);
    let law = |key: &str, law: JitterSection| match law {
        JitterSection::Constant { ms: value } => ms(&format!("{key}.ms"), value),
        JitterSection::Uniform { min_ms, max_ms } => {
            ms(&format!("{key}.max_ms"), max_ms)?;
            within(&format!("{key}.min_ms"), min_ms, 0, max_ms)
        }
        JitterSection::LogNormal { median_ms, sigma } => {
            within(&format!("{key}.median_ms"), median_ms, 0.0, f64::from(limits::LATENCY_MS_MAX))?;
            // σ = 3: one in a thousand is 10,000 times the median. Beyond it the law says nothing about networks.
            within(&format!("{key}.sigma"), sigma, 0.0, 3.0)
        }
    };
    match scenario.latency {
        LatencySection::Constant { ms } => law("latency", JitterSection::Constant { ms }),
        LatencySection::Uniform { min_ms, max_ms } => law("latency", JitterSection::Uniform { min_ms, max_ms }),
        LatencySection::LogNormal { median_ms, sigma } => law("latency", JitterSection::LogNormal { median_ms, sigma }),
        LatencySection::Regions { jitter, .. } => {
            if scenario.regions.is_empty() {
                return fail("latency.kind", "latency by regions needs `[[regions]]`");
            }
            law("latency.jitter", jitter)
        }
    }
}

fn people(scenario: &Scenario) -> Result<(), Problem> {
    let people = &scenario.people;
    positive("people.per_node", people.per_node, 1e6)?;
    let count = people.per_node * f64::from(scenario.network.nodes);
    if count > limits::PEOPLE_MAX as f64 {
        return fail(
            "people.per_node",
            format!("{count:.0} people; at most {}: lower it, or the nodes", limits::PEOPLE_MAX),
        );
    }
    for homes in people.homes {
        share("people.homes", homes)?;
    }
    if (people.homes.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
        return fail("people.homes", "the shares of people with one, two and three homes must add up to 1");
    }
    share("people.largest_share", people.largest_share)?;
    share("people.full_clients", people.full_clients)?;
    match &people.online {
        OnlineSection::Always => {}
        OnlineSection::Sessions { online, offline, share: of } => {
            share("people.online.share", *of)?;
            for (key, span) in [("people.online.online", online), ("people.online.offline", offline)] {
                if Clock::new(scenario.compress, 0).ms(*span) < 1000 {
                    return fail(key, "a second of run time at least (after `compress`)");
                }
            }
        }
        OnlineSection::Daily { from, until, spread } => {
            within("people.online.from", from.ms(), 0, 86_400_000)?;
            within("people.online.until", until.ms(), from.ms(), 86_400_000)?;
            within("people.online.spread", spread.ms(), 0, 6 * 3_600_000)?;
        }
    }
    Ok(())
}

fn workload(scenario: &Scenario) -> Result<(), Problem> {
    let workload = &scenario.workload;
    positive("workload.per_person_per_day", workload.per_person_per_day, 1e6)?;
    positive("workload.contacts", workload.contacts, 1000.0)?;
    share("workload.contacts_in_region", workload.contacts_in_region)?;
    if let super::Curve::Hourly(hours) = &workload.curve {
        let fits = hours.len() == 24 && hours.iter().all(|hour| hour.is_finite() && *hour >= 0.0);
        if !fits || hours.iter().sum::<f64>() <= 0.0 {
            return fail("workload.curve", "24 numbers, none below 0 and one above");
        }
    }
    let weights: f64 = workload.sizes.iter().map(|size| size.weight).sum();
    for size in &workload.sizes {
        within("workload.sizes", size.bytes, 1, limits::MESSAGE_BYTES_MAX)?;
        positive("workload.sizes", size.weight, 1e9)?;
    }
    if workload.sizes.is_empty() || workload.sizes.len() > 64 || weights <= 0.0 {
        return fail("workload.sizes", "between 1 and 64 sizes, one with a weight above 0");
    }
    within("workload.life", workload.life.ms() / 1000, 1, griot_protocol::limits::LIFE_SECONDS_MAX)?;
    let until = workload.until.unwrap_or(scenario.duration);
    if workload.from > until || until > scenario.duration {
        return fail("workload.until", "writing must begin before it ends, and end before the scenario does");
    }
    let groups = &workload.groups;
    positive("workload.groups.per_hundred_people", groups.per_hundred_people, 1000.0)?;
    share("workload.groups.share", groups.share)?;
    if groups.per_hundred_people > 0.0 {
        within("workload.groups.size", groups.size, 2, limits::READERS_MAX)?;
    } else if groups.share > 0.0 {
        return fail("workload.groups.per_hundred_people", "messages go to groups, but there are none");
    }
    let channels = &workload.channels;
    positive("workload.channels.per_hundred_people", channels.per_hundred_people, 1000.0)?;
    positive("workload.channels.per_day", channels.per_day, 1e6)?;
    if channels.per_hundred_people > 0.0 {
        within("workload.channels.readers", channels.readers, 1, limits::READERS_MAX)?;
    }
    let count = scenario.people.per_node * f64::from(scenario.network.nodes);
    let seats = count / 100.0
        * (groups.per_hundred_people * f64::from(groups.size)
            + channels.per_hundred_people * f64::from(channels.readers));
    if seats > limits::SEATS_MAX {
        return fail(
            "workload.groups",
            format!("{seats:.0} seats in groups and channels; at most {:.0}", limits::SEATS_MAX),
        );
    }
    if workload.contacts * count > limits::SEATS_MAX {
        return fail("workload.contacts", format!("at most {:.0} for everybody together", limits::SEATS_MAX));
    }
    let bots = &workload.bots;
    positive("workload.bots.per_hundred_people", bots.per_hundred_people, 100.0)?;
    positive("workload.bots.asks_per_person_per_day", bots.asks_per_person_per_day, 1e6)?;
    if bots.answer_after_max < bots.answer_after_min {
        return fail("workload.bots.answer_after_max", "it is below `answer_after_min`");
    }
    if workload.bursts.len() > 100 {
        return fail("workload.bursts", "at most 100");
    }
    for (place, burst) in workload.bursts.iter().enumerate() {
        positive(&format!("workload.bursts.{place}.factor"), burst.factor, 1000.0)?;
    }
    Ok(())
}

fn check_selector(scenario: &Scenario, selector: &Selector, key: &str) -> Result<(), Problem> {
    for region in &selector.regions {
        if !scenario.regions.iter().any(|known| known.name == *region) {
            return fail(format!("{key}.regions"), format!("there is no region `{region}`"));
        }
    }
    if let Some(value) = selector.share {
        share(&format!("{key}.share"), value)?;
    }
    let ways =
        [selector.share.is_some(), selector.count.is_some(), selector.list.is_some(), selector.largest.is_some()];
    if ways.iter().filter(|way| **way).count() > 1 {
        return fail(key, "only one of `share`, `count`, `list` and `largest`");
    }
    for node in selector.list.iter().flatten() {
        if *node >= scenario.network.nodes {
            let nodes = scenario.network.nodes;
            return fail(
                format!("{key}.list"),
                format!("there is no node {node}: with {nodes} nodes the last is {}", nodes - 1),
            );
        }
    }
    Ok(())
}

fn check_fault(scenario: &Scenario, fault: &FaultSection, key: &str) -> Result<(), Problem> {
    use FaultKind as K;
    let at = |name: &str| format!("{key}.{name}");
    let kind = fault.kind;
    check_selector(scenario, &fault.nodes, &at("nodes"))?;
    if let Some(towards) = &fault.towards {
        check_selector(scenario, towards, &at("towards"))?;
    }
    match (fault.at, fault.every, kind) {
        (_, None, K::Churn) | (Some(_), None, _) => {}
        (None, Some(every), _) if kind != K::Churn && kind != K::Rolling => {
            if Clock::new(scenario.compress, 0).ms(every) < 1000 {
                return fail(at("every"), "a second of run time at least (after `compress`)");
            }
        }
        _ => {
            return fail(
                key,
                "give either `at` (once) or `every` (again and again); rolling takes `at`, churn may take it",
            );
        }
    }
    if fault.every.is_some() && fault.lasts.is_none() && !matches!(kind, K::Die | K::Reset | K::Crash) {
        return fail(at("lasts"), "what happens again and again must end");
    }
    // Which keys belong to which kind: a key that does nothing would make a scenario lie.
    let belongs = [
        ("seconds", fault.seconds.is_some(), kind == K::ClockSkew),
        ("ppm", fault.ppm.is_some(), kind == K::ClockDrift),
        ("kib_per_second", fault.kib_per_second.is_some(), kind == K::Throttle),
        ("gap", fault.gap.is_some(), kind == K::Rolling),
        ("session", fault.session.is_some(), kind == K::Churn),
        ("pause", fault.pause.is_some(), kind == K::Churn),
    ];
    for (name, given, needed) in belongs {
        match (given, needed) {
            (true, false) => return fail(at(name), "it does nothing for this kind of fault: remove it"),
            (false, true) => return fail(at(name), "this kind of fault needs it"),
            _ => {}
        }
    }
    let sides = matches!(kind, K::Partition | K::Throttle | K::Reset);
    if fault.towards.is_some() && !sides || fault.one_way && kind != K::Partition {
        return fail(key, "`towards` is for partition, throttle and reset; `one_way` for partition");
    }
    if fault.crash && !matches!(kind, K::Churn | K::Rolling) {
        return fail(at("crash"), "only churn and rolling have this choice; else use the kind `crash`");
    }
    if fault.rehome_after.is_some() && kind != K::Die {
        return fail(at("rehome_after"), "people only look for another home when theirs is gone for ever (`die`)");
    }
    if kind == K::Rolling && fault.lasts.is_none() {
        return fail(at("lasts"), "say how long each node is down");
    }
    within(&at("seconds"), fault.seconds.unwrap_or(0), -limits::SKEW_SECONDS_MAX, limits::SKEW_SECONDS_MAX)?;
    within(&at("ppm"), fault.ppm.unwrap_or(0), -limits::DRIFT_PPM_MAX, limits::DRIFT_PPM_MAX)?;
    for (name, law) in [("session", &fault.session), ("pause", &fault.pause)] {
        match law {
            Some(Law::Weibull { k, scale }) => {
                // Below 0.1 the mean is millions of times the scale; above 10 it is a constant.
                within(&at(&format!("{name}.k")), *k, 0.1, 10.0)?;
                within(&at(&format!("{name}.scale")), scale.ms(), 1000, limits::DURATION_MS_MAX)?;
            }
            Some(Law::Exponential { mean }) => {
                within(&at(&format!("{name}.mean")), mean.ms(), 1000, limits::DURATION_MS_MAX)?
            }
            None => {}
        }
    }
    Ok(())
}

fn adversaries(scenario: &Scenario) -> Result<(), Problem> {
    let mut total = 0.0;
    for (place, adversary) in scenario.adversaries.iter().enumerate() {
        let at = |name: &str| format!("adversaries.{place}.{name}");
        share(&at("share"), adversary.share)?;
        total += adversary.share;
        within(&at("links"), adversary.links, 0, limits::DEGREE_MAX)?;
        let paced = matches!(adversary.kind, AdversaryKind::Flooding | AdversaryKind::Replaying);
        match adversary.per_second {
            Some(rate) => within(&at("per_second"), rate, 1, limits::ADVERSARY_PER_SECOND_MAX)?,
            None if paced => return fail(at("per_second"), "say how many a second each of them sends"),
            None => {}
        }
        if adversary.per_second.is_some() && !paced {
            return fail(at("per_second"), "only flooding and replaying have a rate");
        }
        if let Some(around) = &adversary.around {
            check_selector(scenario, around, &at("around"))?;
            let few = around.count.or(around.largest).or(around.list.as_ref().map(|list| list.len() as u32));
            if few.is_none_or(|few| few > limits::VICTIMS_MAX) {
                let what = format!("say which few: `count`, `largest` or `list` of at most {}", limits::VICTIMS_MAX);
                return fail(at("around"), what);
            }
        } else if adversary.honest_links.is_some() {
            return fail(at("honest_links"), "it is about the victims: say `around` whom");
        }
    }
    if total > limits::ADVERSARIES_SHARE_MAX + 1e-9 {
        let what = format!("{total:.2} of the nodes; at most {} together", limits::ADVERSARIES_SHARE_MAX);
        return fail("adversaries", what);
    }
    Ok(())
}

fn comparison(scenario: &Scenario) -> Result<(), Problem> {
    if let Some(outage) = scenario.outage
        && (outage.lasts.ms() == 0 || outage.at.ms().saturating_add(outage.lasts.ms()) > scenario.duration.ms())
    {
        return fail("outage.lasts", "the outage must last, and be over before the scenario is");
    }
    let Some(central) = &scenario.central else { return Ok(()) };
    if central.kind != CentralKind::Unharmed
        && scenario.outage.is_none()
        && (central.at.is_none() || central.lasts.is_none())
    {
        return fail("central.at", "give `at` and `lasts`, or an `[outage]` from which they are taken");
    }
    if central.kind == CentralKind::Cut && central.regions.is_empty() && central.share.is_none() {
        return fail("central.regions", "say whose people cannot reach the provider (`regions`, or a `share` of all)");
    }
    for name in &central.regions {
        if !scenario.regions.iter().any(|region| region.name == *name) {
            return fail("central.regions", format!("there is no region `{name}`"));
        }
    }
    share("central.share", central.share.unwrap_or(0.0))
}
