//! What an interface holds, after reading: the typed side of a DTDL document.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::Schema;

/// A text for people: one, or one for each language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalText {
    /// A plain text, English by the language's rule.
    Plain(String),
    /// By language tag.
    Languages(BTreeMap<String, String>),
}

impl LocalText {
    /// One text to show: the plain one, English, or the first there is.
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Languages(texts) => {
                let english = texts.iter().find(|(tag, _)| tag.split('-').next() == Some("en"));
                english.or_else(|| texts.iter().next()).map_or("", |(_, text)| text)
            }
        }
    }

    /// As it was written.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Plain(text) => text.clone().into(),
            Self::Languages(texts) => {
                Value::Object(texts.iter().map(|(tag, text)| (tag.clone(), text.clone().into())).collect::<Map<_, _>>())
            }
        }
    }
}

/// What every named element has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// The programming name.
    pub name: String,
    /// `@id`, where one is written.
    pub id: Option<String>,
    /// Everything in `@type`: the kind and its co-types.
    pub types: Vec<String>,
    /// `displayName`.
    pub display_name: Option<LocalText>,
    /// `description`.
    pub description: Option<LocalText>,
    /// `comment`.
    pub comment: Option<String>,
}

impl Element {
    /// Whether `@type` holds this type.
    pub fn has_type(&self, name: &str) -> bool {
        self.types.iter().any(|candidate| candidate == name)
    }

    /// The display name, or the name when there is none.
    pub fn label(&self) -> &str {
        self.display_name.as_ref().map_or(&self.name, LocalText::text)
    }
}

/// Values a device emits.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Name and texts.
    pub element: Element,
    /// Type of its values.
    pub schema: Schema,
    /// `Temperature`, `Event` … where there is one.
    pub semantic_type: Option<String>,
    /// Unit of its values.
    pub unit: Option<String>,
}

/// State of a device, or (cloud property) of its record in the application.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Name and texts.
    pub element: Element,
    /// Type of its values.
    pub schema: Schema,
    /// `Temperature`, `State` … where there is one.
    pub semantic_type: Option<String>,
    /// Unit of its values.
    pub unit: Option<String>,
    /// Whether the service may ask for a value.
    pub writable: bool,
    /// Whether it lives in the application only (co-type `Cloud`).
    pub cloud: bool,
    /// What a new device starts with (co-type `Initialized`).
    pub initial_value: Option<Value>,
}

/// Something a device does when asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Name and texts.
    pub element: Element,
    /// What goes in.
    pub request: Option<CommandPayload>,
    /// What comes back.
    pub response: Option<CommandPayload>,
    /// Queue it while the device is offline; there is no response then.
    pub durable: bool,
}

/// Input or output of a command. Its name is for people: on the wire the value stands alone.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandPayload {
    /// Name and texts.
    pub element: Element,
    /// Type of the value.
    pub schema: Schema,
}

/// An interface included by value, under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Name and texts.
    pub element: Element,
    /// Id of the interface.
    pub interface: String,
}

/// A link to other twins; in templates also an edge module or a gateway's child type.
#[derive(Debug, Clone, PartialEq)]
pub struct Relationship {
    /// Name and texts.
    pub element: Element,
    /// Ids of the interfaces it may lead to; empty for any. For an edge module, its model.
    pub targets: Vec<String>,
    /// State of the link itself.
    pub properties: Vec<Property>,
    /// Whether the service may change it.
    pub writable: bool,
}

impl Relationship {
    /// Whether it declares a module of an edge device.
    pub fn is_edge_module(&self) -> bool {
        self.element.has_type("EdgeModule")
    }

    /// Whether it declares a type of downstream devices.
    pub fn is_gateway_device(&self) -> bool {
        self.element.has_type("GatewayDevice")
    }
}

/// One element of an interface.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Emitted values.
    Telemetry(Telemetry),
    /// State.
    Property(Property),
    /// Callable.
    Command(Box<Command>),
    /// Included interface.
    Component(Component),
    /// Link.
    Relationship(Relationship),
}

impl Content {
    /// Name and texts.
    pub fn element(&self) -> &Element {
        match self {
            Self::Command(command) => &command.element,
            Self::Telemetry(Telemetry { element, .. })
            | Self::Property(Property { element, .. })
            | Self::Component(Component { element, .. })
            | Self::Relationship(Relationship { element, .. }) => element,
        }
    }
}

/// An interface, with its references by id.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// Id and texts; `name` only where a template gives one (`NamedInterface`), else empty.
    pub element: Element,
    /// Its own contents, in order.
    pub contents: Vec<Content>,
    /// Ids of the interfaces it inherits from.
    pub extends: Vec<String>,
}

impl Interface {
    /// Its id.
    pub fn id(&self) -> &str {
        self.element.id.as_deref().unwrap_or_default()
    }
}
