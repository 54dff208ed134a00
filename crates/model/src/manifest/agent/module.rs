//! One module of the agent's section.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::create_options;
use super::{DesiredStatus, ImageName, ImagePullPolicy, Module, RestartPolicy, STARTUP_ORDER_LAST};
use crate::manifest::problem::{ManifestErrorCode as Code, Problems};
use crate::pointer::Pointer;

/// Which module is read: they differ in what must be there and what is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Always runs, is always restarted, starts first.
    Agent,
    /// Restarted `always` when it does not say.
    Hub,
    User,
}

const FIELDS: &[&str] = &[
    "type",
    "status",
    "restartPolicy",
    "imagePullPolicy",
    "startupOrder",
    "version",
    "env",
    "settings",
    "configuration",
];

pub(super) fn read(value: &Value, role: Role, at: &Pointer<'_>, problems: &mut Problems) -> Option<Module> {
    let module = problems.object(value, at)?;
    problems.unknown_members(module, at, |name| FIELDS.contains(&name));
    super::check_docker(module, at, problems);
    let image_pull_policy = word(module, at, "imagePullPolicy", ImagePullPolicy::ALL, problems);
    let env = read_env(module, at, problems);
    let settings = problems.required_object(module, at, "settings");
    let settings = settings.and_then(|settings| read_settings(settings, &at.key("settings"), problems));
    let configuration = problems.optional_object(module, at, "configuration");
    let configuration_id = configuration.and_then(|configuration| configuration.get("id")).and_then(Value::as_str);
    let (status, restart_policy, startup_order) = if role == Role::Agent {
        (Some(DesiredStatus::Running), RestartPolicy::Always, 0)
    } else {
        lifecycle(module, role, at, problems)
    };
    let version = if role == Role::Agent { "" } else { problems.optional_text(module, at, "version") };
    let settings = settings?;
    Some(Module {
        version: version.to_owned(),
        status: status?,
        restart_policy,
        image_pull_policy: image_pull_policy.unwrap_or(ImagePullPolicy::OnCreate),
        startup_order,
        env,
        image: settings.image?,
        create_options: settings.create_options,
        digest: settings.digest,
        configuration_id: configuration_id.map(str::to_owned),
    })
}

/// `status`, `restartPolicy` and `startupOrder` of the hub or a user module.
fn lifecycle(
    module: &Map<String, Value>,
    role: Role,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> (Option<DesiredStatus>, RestartPolicy, u32) {
    problems.required(module, at, "status");
    let status = word(module, at, "status", DesiredStatus::ALL, problems);
    if problems.is_service() && !module.contains_key("restartPolicy") {
        problems.required(module, at, "restartPolicy");
    }
    let default_policy = if role == Role::Hub { RestartPolicy::Always } else { RestartPolicy::OnUnhealthy };
    let policy = word(module, at, "restartPolicy", RestartPolicy::ALL, problems).unwrap_or(default_policy);
    let order = problems.optional_integer(module, at, "startupOrder", u32::MAX.into());
    let order = order.and_then(|order| u32::try_from(order).ok()).unwrap_or(STARTUP_ORDER_LAST);
    (status, policy, order)
}

/// One of a few words. `None` when absent; a problem, and also `None`, for anything else (null too, except where the
/// member is required and its absence has been noted).
fn word<T: Copy>(
    module: &Map<String, Value>,
    at: &Pointer<'_>,
    name: &str,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let value = module.get(name)?;
    if value.is_null() && name == "status" {
        return None;
    }
    let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    if found.is_none() {
        let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        problems.add(&at.key(name), Code::BadValue, format!("{name} must be one of {}", allowed.join(", ")));
    }
    found.map(|(_, value)| *value)
}

/// `{NAME: {"value": text}}`; a missing value is an empty text.
fn read_env(module: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(entries) = problems.optional_object(module, at, "env") else { return env };
    let at = at.key("env");
    for (name, entry) in entries {
        let at = at.key(name);
        if problems.is_service() && (name.is_empty() || name.contains(['+', '#', '$', '.', ' '])) {
            problems.add(
                &at,
                Code::BadName,
                "a variable's name must not be empty nor hold '+', '#', '$', '.' or blanks",
            );
        }
        let Some(entry) = problems.object(entry, &at) else { continue };
        problems.unknown_members(entry, &at, |name| name == "value");
        let text = match entry.get("value") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar.to_string(),
            Some(_) => {
                problems.add(&at.key("value"), Code::WrongType, "a variable's value must be a text, number or boolean");
                continue;
            }
        };
        env.insert(name.clone(), text);
    }
    env
}

struct Settings {
    image: Option<ImageName>,
    create_options: Map<String, Value>,
    digest: Option<String>,
}

fn read_settings(settings: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) -> Option<Settings> {
    problems
        .unknown_members(settings, at, |name| matches!(name, "image" | "digest") || create_options::is_part_name(name));
    let image = problems.required_text(settings, at, "image");
    let image = image.and_then(|text| match ImageName::parse(text) {
        Ok(image) => Some(image),
        Err(error) => {
            problems.add(&at.key("image"), Code::BadImage, error.to_string());
            None
        }
    });
    let digest = problems.optional_text(settings, at, "digest");
    Some(Settings {
        image,
        create_options: create_options::join(settings, at, problems),
        digest: (!digest.is_empty()).then(|| digest.to_owned()),
    })
}
