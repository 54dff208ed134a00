//! The table of decisions, row by row. Central and Edge have no other.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::limits::CLOCK_SKEW;

mod certificates;

const HUB: &str = "hub.example.test";
const GATEWAY: &str = "edge.example.test";
const NOW: u64 = 1_700_000_000;

/// A key that belongs to this name.
fn key(name: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("key of {name}"))
}

fn keys(name: &str) -> Authentication {
    Authentication::Sas(vec![key(name), key(&format!("{name}, secondary"))])
}

fn device(name: &str, parent: Option<&str>, is_edge: bool) -> (String, DeviceFacts) {
    let facts = DeviceFacts { enabled: true, is_edge, parent: parent.map(str::to_owned), authentication: keys(name) };
    (name.to_owned(), facts)
}

/// `leaf` under `low` under `top`; `lone` under nobody; `odd` under `lone`, which is no edge device.
fn world() -> Facts {
    let mut devices = HashMap::from([
        device("leaf", Some("low"), false),
        device("low", Some("top"), true),
        device("top", None, true),
        device("lone", None, false),
        device("odd", Some("lone"), false),
        device("off", Some("top"), false),
        device("bare", None, false),
    ]);
    devices.get_mut("off").unwrap().enabled = false;
    devices.get_mut("bare").unwrap().authentication = Authentication::None;
    let module = |id: &str| (Identity::from_client_id(id), keys(id));
    let mut modules: HashMap<_, _> =
        ["leaf/m", "low/$edgeHub", "top/$edgeHub", "top/m", "off/m", "lone/$edgeHub"].map(module).into();
    modules.insert(Identity::from_client_id("leaf/keyless"), Authentication::None);
    Facts { devices, modules, policy: None }
}

/// What a case asked for, and no more.
fn looked_up(world: &Facts, case: &Case<'_>) -> Facts {
    let needs = case.needs();
    let devices = needs.devices.iter().filter_map(|id| Some(((*id).to_owned(), world.devices.get(*id)?.clone())));
    let modules = needs.modules.iter().filter_map(|id| Some((id.clone(), world.modules.get(id)?.clone())));
    Facts {
        devices: devices.collect(),
        modules: modules.collect(),
        policy: needs.policy.and_then(|name| (name == "device").then(|| world.policy.clone()).flatten()),
    }
}

struct Attempt<'a> {
    identity: &'a str,
    resource: &'a str,
    signed_by: &'a str,
    chain: Option<&'a str>,
    policy: Option<&'a str>,
    expiry_secs: u64,
}

impl Default for Attempt<'_> {
    fn default() -> Self {
        let resource = "hub.example.test/devices/leaf";
        Self { identity: "leaf", resource, signed_by: "leaf", chain: None, policy: None, expiry_secs: NOW + 60 }
    }
}

fn judge(attempt: &Attempt<'_>, world: &Facts) -> Result<Admitted, Denied> {
    let identity = Identity::from_client_id(attempt.identity);
    let token = sas::sign(attempt.resource, &key(attempt.signed_by), attempt.expiry_secs, attempt.policy).unwrap();
    let claim = Claim {
        identity: &identity,
        hosts: &[HUB, GATEWAY],
        credential: Credential::Sas(&token),
        auth_chain: attempt.chain,
    };
    let case = open(claim, NOW)?;
    let facts = looked_up(world, &case);
    case.decide(&facts)
}

fn unknown(id: &str) -> Denied {
    Denied::Unknown(Identity::from_client_id(id))
}

fn signature(id: &str) -> Denied {
    Denied::Signature(Identity::from_client_id(id))
}

fn resource(text: &str) -> Denied {
    Denied::Resource(sas::escape_audience(text))
}

#[test]
fn devices_and_modules_speak_for_themselves() {
    let table = [
        ("leaf", "hub.example.test/devices/leaf", "leaf", None),
        ("leaf", "hub.example.test/devices/leaf", "leaf, secondary", None),
        ("leaf", "HUB.example.test/devices/LEAF", "leaf", None),
        ("leaf", "edge.example.test/devices/leaf", "leaf", None),
        ("leaf", "hub.example.test/devices/leaf/api-version=2016-11-14", "leaf", None),
        ("leaf", "hub.example.test/devices/leaf", "low", Some(signature("leaf"))),
        ("leaf", "hub.example.test/devices/leaf", "leaf/m", Some(signature("leaf"))),
        (
            "leaf",
            "hub.example.test/devices/leaf/modules/m",
            "leaf",
            Some(resource("hub.example.test/devices/leaf/modules/m")),
        ),
        ("leaf", "hub.example.test/devices/low", "leaf", Some(resource("hub.example.test/devices/low"))),
        ("leaf", "other.test/devices/leaf", "leaf", Some(resource("other.test/devices/leaf"))),
        // The whole hub is a policy's to name.
        ("leaf", "hub.example.test", "leaf", Some(resource("hub.example.test"))),
        ("leaf", "hub.example.test/devices", "leaf", Some(resource("hub.example.test/devices"))),
        ("nobody", "hub.example.test/devices/nobody", "nobody", Some(unknown("nobody"))),
        ("off", "hub.example.test/devices/off", "off", Some(Denied::Disabled("off".into()))),
        ("off", "hub.example.test/devices/off", "leaf", Some(signature("off"))),
        ("bare", "hub.example.test/devices/bare", "bare", Some(Denied::Keyless(Identity::device("bare")))),
        // Modules.
        ("leaf/m", "hub.example.test/devices/leaf/modules/m", "leaf/m", None),
        ("leaf/m", "hub.example.test/devices/leaf", "leaf/m", None),
        ("leaf/m", "hub.example.test/devices/leaf", "leaf", None),
        ("leaf/m", "hub.example.test/devices/leaf/modules/m", "leaf", None),
        ("leaf/keyless", "hub.example.test/devices/leaf", "leaf", None),
        (
            "leaf/keyless",
            "hub.example.test/devices/leaf",
            "low",
            Some(Denied::Keyless(Identity::module("leaf", "keyless"))),
        ),
        ("leaf/m", "hub.example.test/devices/leaf", "low", Some(signature("leaf/m"))),
        (
            "leaf/m",
            "hub.example.test/devices/leaf/modules/n",
            "leaf/m",
            Some(resource("hub.example.test/devices/leaf/modules/n")),
        ),
        ("leaf/none", "hub.example.test/devices/leaf", "leaf", Some(unknown("leaf/none"))),
        ("off/m", "hub.example.test/devices/off/modules/m", "off/m", Some(Denied::Disabled("off".into()))),
        ("off/m", "hub.example.test/devices/off/modules/m", "leaf", Some(signature("off/m"))),
    ];
    for (identity, resource, signed_by, denied) in table {
        let attempt = Attempt { identity, resource, signed_by, ..Attempt::default() };
        assert_eq!(judge(&attempt, &world()).err(), denied, "{identity} with {signed_by}'s key for {resource}");
    }
}

#[test]
fn who_holds_its_keys_closed_answers_for_them() {
    let mut world = world();
    for (genuine, denied) in [(true, None), (false, Some(signature("leaf")))] {
        world.devices.get_mut("leaf").unwrap().authentication = Authentication::Held { genuine };
        // Signed with nobody's key: the holder's word counts.
        assert_eq!(judge(&Attempt { signed_by: "nobody", ..Attempt::default() }, &world).err(), denied);
    }
}

#[test]
fn a_gateway_speaks_for_those_below_it_and_for_nobody_else() {
    let broken = |chain: &str, device: &str| Some(Denied::ChainBroken { chain: chain.into(), device: device.into() });
    let malformed = |chain: &str| Some(Denied::Chain(chain.into()));
    let table = [
        ("leaf", "leaf;low", "low", None),
        ("leaf", "leaf;low;top", "top", None),
        ("leaf", "leaf;low;", "low", None),
        ("leaf/m", "leaf/m;leaf;low", "low", None),
        ("leaf/m", "leaf/m;low", "low", None),
        ("top/m", "top/m;top", "top", None),
        ("top", "top;top", "top", None),
        ("low", "low;top", "top", None),
        ("leaf", "leaf;top", "top", broken("leaf;top", "top")),
        ("leaf", "leaf;low;low;lone", "lone", broken("leaf;low;low;lone", "lone")),
        ("odd", "odd;lone", "lone", broken("odd;lone", "lone")),
        ("lone", "lone;lone", "lone", broken("lone;lone", "lone")),
        ("leaf", "low;top", "top", malformed("low;top")),
        ("leaf/m", "leaf;low", "low", malformed("leaf;low")),
        ("off", "off;top", "top", Some(Denied::Disabled("off".into()))),
        ("leaf", "leaf;low;ghost", "ghost", Some(unknown("ghost/$edgeHub"))),
    ];
    // With a wrong key all of them are alike, whatever else is wrong with the claim.
    for (identity, chain) in [("leaf", "leaf;top"), ("odd", "odd;top"), ("off", "off;top"), ("ghost", "ghost;top")] {
        let resource = "hub.example.test/devices/top";
        let attempt = Attempt { identity, resource, signed_by: "low", chain: Some(chain), ..Attempt::default() };
        assert_eq!(judge(&attempt, &world()).err(), Some(signature("top/$edgeHub")), "{identity} through {chain}");
    }
    for (identity, chain, gateway, denied) in table {
        let signed_by = format!("{gateway}/$edgeHub");
        let resource = format!("hub.example.test/devices/{gateway}/modules/$edgeHub");
        let attempt =
            Attempt { identity, resource: &resource, signed_by: &signed_by, chain: Some(chain), ..Attempt::default() };
        assert_eq!(judge(&attempt, &world()).err(), denied, "{identity} through {chain}");
    }
}

#[test]
fn only_the_gateways_own_hub_signs_for_a_child() {
    let through_low = Attempt { chain: Some("leaf;low"), ..Attempt::default() };
    let table = [
        ("hub.example.test/devices/low", "low/$edgeHub", None),
        ("hub.example.test/devices/low/modules/$edgeHub", "low", Some(signature("low/$edgeHub"))),
        ("hub.example.test/devices/low", "leaf", Some(signature("low/$edgeHub"))),
        ("hub.example.test/devices/leaf", "leaf", Some(resource("hub.example.test/devices/leaf"))),
    ];
    for (resource, signed_by, denied) in table {
        let attempt = Attempt { resource, signed_by, ..through_low };
        assert_eq!(judge(&attempt, &world()).err(), denied, "{signed_by} for {resource}");
    }
    // A chain of one is no chain.
    for chain in ["", ";", "leaf"] {
        assert!(judge(&Attempt { chain: Some(chain), ..Attempt::default() }, &world()).is_ok(), "{chain}");
    }
    let mut world = world();
    world.devices.get_mut("low").unwrap().enabled = false;
    let attempt = Attempt { resource: "hub.example.test/devices/low", signed_by: "low/$edgeHub", ..through_low };
    assert_eq!(judge(&attempt, &world), Err(Denied::Disabled("low".into())));
}

#[test]
fn a_chain_has_a_longest_length() {
    let mut world = world();
    let (mut chain, mut below) = ("leaf".to_owned(), "leaf".to_owned());
    for level in 1..AUTH_CHAIN_LENGTH_MAX + 1 {
        let edge = format!("e{level}");
        world.devices.get_mut(&below).unwrap().parent = Some(edge.clone());
        world.devices.extend([device(&edge, None, true)]);
        let hub = format!("{edge}/$edgeHub");
        world.modules.insert(Identity::from_client_id(&hub), keys(&hub));
        chain = format!("{chain};{edge}");
        let resource = format!("hub.example.test/devices/{edge}");
        let attempt = Attempt { resource: &resource, signed_by: &hub, chain: Some(&chain), ..Attempt::default() };
        let expected = (level == AUTH_CHAIN_LENGTH_MAX).then(|| Denied::Chain(chain.clone()));
        assert_eq!(judge(&attempt, &world).err(), expected, "{chain}");
        below = edge;
    }
}

#[test]
fn a_policy_with_the_right_acts_as_anybody() {
    let policy = |connects_devices| Some(PolicyFacts { connects_devices, authentication: keys("the policy") });
    let table = [
        ("leaf", "hub.example.test", "device", "the policy", policy(true), None),
        ("leaf", "hub.example.test/devices", "device", "the policy, secondary", policy(true), None),
        ("leaf/m", "hub.example.test/devices/leaf", "device", "the policy", policy(true), None),
        ("leaf", "hub.example.test", "device", "leaf", policy(true), Some(Denied::PolicySignature("device".into()))),
        ("leaf", "hub.example.test", "device", "the policy", policy(false), Some(Denied::PolicyRight("device".into()))),
        ("leaf", "hub.example.test", "device", "the policy", None, Some(Denied::UnknownPolicy("device".into()))),
        // The identity's own key does not help: the token says that a policy signed it.
        (
            "leaf",
            "hub.example.test/devices/leaf",
            "other",
            "leaf",
            policy(true),
            Some(Denied::UnknownPolicy("other".into())),
        ),
        (
            "leaf",
            "hub.example.test/devices/low",
            "device",
            "the policy",
            policy(true),
            Some(resource("hub.example.test/devices/low")),
        ),
        ("ghost", "hub.example.test", "device", "the policy", policy(true), Some(unknown("ghost"))),
        ("leaf/none", "hub.example.test", "device", "the policy", policy(true), Some(unknown("leaf/none"))),
        ("off", "hub.example.test", "device", "the policy", policy(true), Some(Denied::Disabled("off".into()))),
        // Clients that name no policy in so many words.
        ("leaf", "hub.example.test/devices/leaf", "null", "leaf", None, None),
    ];
    for (identity, resource, name, signed_by, facts, denied) in table {
        let attempt = Attempt { identity, resource, signed_by, policy: Some(name), ..Attempt::default() };
        let world = Facts { policy: facts, ..world() };
        assert_eq!(judge(&attempt, &world).err(), denied, "{identity}, {name}, {signed_by}, {resource}");
    }
}

#[test]
fn a_token_is_good_until_its_end_and_the_skew_and_a_session_until_the_grace() {
    let skew = CLOCK_SKEW.as_secs();
    let ends = |expiry_secs| judge(&Attempt { expiry_secs, ..Attempt::default() }, &world());
    let grace = TOKEN_GRACE.as_secs();
    let admitted = |session_ends_at_secs| Ok(Admitted { signed_by: SignedBy::Identity, session_ends_at_secs });
    assert_eq!(ends(NOW), admitted(NOW + grace));
    assert_eq!(ends(NOW - skew), admitted(NOW - skew + grace));
    assert_eq!(ends(NOW - skew - 1), Err(Denied::Expired(skew + 1)));
    assert_eq!(ends(u64::MAX), admitted(u64::MAX));
    assert!(grace > skew, "whoever is let in at the last moment still gets a session");
}

#[test]
fn whose_key_it_was_is_told() {
    let world =
        Facts { policy: Some(PolicyFacts { connects_devices: true, authentication: keys("the policy") }), ..world() };
    let module = Attempt { identity: "leaf/m", ..Attempt::default() };
    let table = [
        (Attempt { signed_by: "leaf/m", ..module }, SignedBy::Identity),
        (Attempt { signed_by: "leaf", ..module }, SignedBy::Device),
        (Attempt { signed_by: "the policy", policy: Some("device"), ..module }, SignedBy::Policy),
        (
            Attempt {
                resource: "hub.example.test/devices/low",
                signed_by: "low/$edgeHub",
                chain: Some("leaf/m;leaf;low"),
                ..module
            },
            SignedBy::Gateway,
        ),
    ];
    for (attempt, signed_by) in table {
        assert_eq!(judge(&attempt, &world).unwrap().signed_by, signed_by);
    }
}

#[test]
fn without_a_token_nobody_gets_in() {
    let identity = Identity::device("leaf");
    let claim = Claim { identity: &identity, hosts: &[HUB], credential: Credential::None, auth_chain: None };
    assert_eq!(open(claim, NOW).err(), Some(Denied::NoCredential));
    let claim = Claim { credential: Credential::Sas("hello"), ..claim };
    assert_eq!(open(claim, NOW).err(), Some(Denied::Token(ParseTokenError::Scheme)));
}

#[test]
fn only_what_newer_facts_could_change_depends_on_them() {
    let cases = [
        (unknown("a"), true),
        (signature("a"), true),
        (Denied::Disabled("a".into()), true),
        (Denied::NoCredential, false),
        (Denied::Expired(301), false),
        (Denied::UnknownPolicy("p".into()), false),
    ];
    for (denied, depends) in cases {
        assert_eq!(denied.depends_on_identities(), depends, "{denied}");
    }
}
