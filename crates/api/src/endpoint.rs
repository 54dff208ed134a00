//! What an endpoint is: enough to route it, guard it and describe it.

use std::borrow::Cow;

use utoipa::ToSchema;
use utoipa::openapi::{RefOr, schema::Schema};

use crate::permission::Permission;

/// HTTP methods the interface uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Get,
    Put,
    Post,
    Patch,
    Delete,
}

impl Method {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request may change something, and so needs the header against forged requests when a cookie signs it.
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// A version of the IoT Central interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// The newest general one.
    V2022_07_31,
    /// The one the command line extension uses for templates, lists and queries.
    V2022_06_30Preview,
    /// The largest surface.
    V2022_10_31Preview,
}

impl ApiVersion {
    /// Every version answered.
    pub const ALL: [Self; 3] = [Self::V2022_07_31, Self::V2022_06_30Preview, Self::V2022_10_31Preview];

    /// Reads the query parameter `api-version`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// Its name in the query parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2022_07_31 => "2022-07-31",
            Self::V2022_06_30Preview => "2022-06-30-preview",
            Self::V2022_10_31Preview => "2022-10-31-preview",
        }
    }
}

/// Which versions have an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Every version of the IoT Central interface.
    All,
    /// The previews only.
    Previews,
    /// The newest preview only.
    NewestPreview,
    /// It is not versioned: the query parameter is not looked at.
    Unversioned,
}

impl Versions {
    /// Whether this version has the endpoint.
    pub fn has(self, version: ApiVersion) -> bool {
        match self {
            Self::All | Self::Unversioned => true,
            Self::Previews => version != ApiVersion::V2022_07_31,
            Self::NewestPreview => version == ApiVersion::V2022_10_31Preview,
        }
    }
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Anybody, even unknown: only what leads to being known.
    Public,
    /// Anybody known.
    SignedIn,
    /// Whoever has the permission.
    Permission(Permission),
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ParameterKind,
    /// What it does.
    pub about: &'static str,
}

/// What a query parameter holds.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ParameterKind {
    Text,
    Texts,
    Integer,
    Flag,
    Time,
}

/// A type of a body: its name and how its schema is collected.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Name of the schema.
    pub name: fn() -> Cow<'static, str>,
    /// Adds its schema and those it refers to.
    pub collect: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// The shape of a type.
    pub const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, collect: collect::<T> }
    }
}

fn collect<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// What a success answers with.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Nothing.
    Empty,
    /// JSON of a shape.
    Json(Shape),
    /// JSON that is not described further.
    OpenJson,
    /// Bytes of any kind.
    Bytes,
    /// Server-sent events whose data has one of these shapes.
    Events(&'static [Shape]),
}

/// One operation of the interface.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Name of the operation: `Resource_Verb`.
    pub id: &'static str,
    /// Method.
    pub method: Method,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Versions that have it.
    pub versions: Versions,
    /// Who may call it.
    pub guard: Guard,
    /// Query parameters besides `api-version`.
    pub parameters: &'static [Parameter],
    /// Body of the request.
    pub body: Option<Shape>,
    /// Status of a success.
    pub status: u16,
    /// What a success answers with.
    pub answer: Answer,
    /// What it does, in a sentence.
    pub about: &'static str,
}

impl Endpoint {
    /// An endpoint that answers 204 to whoever is signed in, in every version; the other methods change that.
    pub const fn new(id: &'static str, method: Method, path: &'static str, about: &'static str) -> Self {
        Self {
            id,
            method,
            path,
            versions: Versions::All,
            guard: Guard::SignedIn,
            parameters: &[],
            body: None,
            status: 204,
            answer: Answer::Empty,
            about,
        }
    }

    /// Needs a permission.
    #[must_use]
    pub const fn needs(mut self, permission: Permission) -> Self {
        self.guard = Guard::Permission(permission);
        self
    }

    /// Answers anybody.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.guard = Guard::Public;
        self
    }

    /// Exists in these versions.
    #[must_use]
    pub const fn in_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Takes query parameters.
    #[must_use]
    pub const fn with(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// Takes a body.
    #[must_use]
    pub const fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(Shape::of::<T>());
        self
    }

    /// Answers a success with a status and JSON.
    #[must_use]
    pub const fn gives<T: ToSchema>(mut self, status: u16) -> Self {
        self.status = status;
        self.answer = Answer::Json(Shape::of::<T>());
        self
    }

    /// Answers a success with 200 and JSON that is not described further.
    #[must_use]
    pub const fn gives_open_json(mut self) -> Self {
        self.status = 200;
        self.answer = Answer::OpenJson;
        self
    }

    /// Answers a success with 200 and bytes of any kind.
    #[must_use]
    pub const fn gives_bytes(mut self) -> Self {
        self.status = 200;
        self.answer = Answer::Bytes;
        self
    }

    /// Answers a success with a stream of events.
    #[must_use]
    pub const fn streams(mut self, shapes: &'static [Shape]) -> Self {
        self.status = 200;
        self.answer = Answer::Events(shapes);
        self
    }

    /// The resource part of its id.
    pub fn resource(&self) -> &'static str {
        self.id.split_once('_').map_or(self.id, |(resource, _)| resource)
    }

    /// Whether it is an extension of ours rather than IoT Central's.
    pub fn is_extension(&self) -> bool {
        self.path.starts_with("/api/ext/")
    }
}
