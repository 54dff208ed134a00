//! The OpenAPI 3.1 description of the interface, made from the endpoint list and the types.
//!
//! Two documents are checked in under `openapi/`: `central.json` describes everything implemented (clients are generated
//! from it), `tidegate.json` only what is ours. `cargo run -p tidegate-api --example openapi` writes them; a test fails when
//! they are stale.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    Array, ComponentsBuilder, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required,
    ResponseBuilder,
};

use crate::endpoint::{Answer, Endpoint, Guard, Method, ParameterKind, Shape, Versions};
use crate::error::Error;

/// Which operations a document describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Everything,
    /// Those under `/api/ext/`.
    Extensions,
}

/// The description of a scope.
pub fn document(scope: Scope) -> OpenApi {
    let endpoints: Vec<_> =
        crate::endpoints::all().filter(|endpoint| scope == Scope::Everything || endpoint.is_extension()).collect();
    let mut schemas = Vec::new();
    (Shape::of::<Error>().collect)(&mut schemas);
    let mut paths = Paths::new();
    for endpoint in endpoints {
        collect_schemas(endpoint, &mut schemas);
        let method = http_method(endpoint.method);
        let item = PathItem::new(method, operation(endpoint));
        match paths.paths.get_mut(endpoint.path) {
            Some(known) => known.merge_operations(item),
            None => {
                paths.paths.insert(endpoint.path.to_owned(), item);
            }
        }
    }
    let schemas: BTreeMap<_, _> = schemas.into_iter().collect();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("apiToken", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("Authorization"))))
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("tidegate_session"))))
        .build();
    let info = InfoBuilder::new()
        .title(if scope == Scope::Everything { "Tidegate Central" } else { "Tidegate extensions" })
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

/// The text of a scope's description, as it is checked in.
pub fn document_text(scope: Scope) -> String {
    let mut json = serde_json::to_value(document(scope)).expect("a description holds nothing JSON cannot express");
    drop_null(&mut json);
    let mut text = serde_json::to_string_pretty(&json).expect("a JSON value is always JSON");
    text.push('\n');
    text
}

/// Takes `null` out of every type. The generator adds it to each optional member; ours are absent, never `null`.
fn drop_null(json: &mut Value) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("oneOf") {
                choices.retain(|choice| choice != &serde_json::json!({"type": "null"}));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("oneOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(drop_null);
        }
        _ => {}
    }
}

fn collect_schemas(endpoint: &Endpoint, schemas: &mut Vec<(String, RefOr<Schema>)>) {
    if let Some(body) = endpoint.body {
        (body.collect)(schemas);
    }
    match endpoint.answer {
        Answer::Json(shape) => (shape.collect)(schemas),
        Answer::Events(shapes) => shapes.iter().for_each(|shape| (shape.collect)(schemas)),
        Answer::Empty | Answer::OpenJson | Answer::Bytes => {}
    }
}

fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Put => HttpMethod::Put,
        Method::Post => HttpMethod::Post,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn reference(shape: Shape) -> Ref {
    Ref::from_schema_name((shape.name)())
}

fn operation(endpoint: &Endpoint) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.id))
        .tag(endpoint.resource())
        .summary(Some(endpoint.about))
        .parameters(Some(parameters(endpoint)));
    if let Some(body) = endpoint.body {
        let mut request = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content("application/json", ContentBuilder::new().schema(Some(reference(body))).build());
        if endpoint.method == Method::Patch {
            let content = ContentBuilder::new().schema(Some(reference(body))).build();
            request = request.content("application/merge-patch+json", content);
        }
        operation = operation.request_body(Some(request.build()));
    }
    if endpoint.guard != Guard::Public {
        operation = operation
            .security(SecurityRequirement::new("apiToken", Vec::<String>::new()))
            .security(SecurityRequirement::new("session", Vec::<String>::new()));
    }
    operation.response(endpoint.status.to_string(), success(endpoint)).response("default", failure()).build()
}

fn success(endpoint: &Endpoint) -> utoipa::openapi::Response {
    let response = ResponseBuilder::new().description("Success");
    match endpoint.answer {
        Answer::Empty => response,
        Answer::Json(shape) => {
            response.content("application/json", ContentBuilder::new().schema(Some(reference(shape))).build())
        }
        Answer::OpenJson => {
            let open = ObjectBuilder::new().schema_type(Type::Object).build();
            response.content("application/json", ContentBuilder::new().schema(Some(open)).build())
        }
        Answer::Bytes => {
            let bytes = Object::builder()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
                .build();
            response
                .content("application/octet-stream", ContentBuilder::new().schema(Some(Schema::Object(bytes))).build())
        }
        Answer::Events(shapes) => {
            let data = shapes.iter().fold(OneOfBuilder::new(), |data, shape| data.item(reference(*shape))).build();
            response.content("text/event-stream", ContentBuilder::new().schema(Some(Schema::OneOf(data))).build())
        }
    }
    .build()
}

fn failure() -> utoipa::openapi::Response {
    let code = HeaderBuilder::new()
        .schema(Object::with_type(Type::String))
        .description(Some("Stable name of the kind of error."))
        .build();
    ResponseBuilder::new()
        .description("What went wrong.")
        .header("x-ms-error-code", code)
        .content("application/json", ContentBuilder::new().schema(Some(Ref::from_schema_name(Error::name()))).build())
        .build()
}

fn parameters(endpoint: &Endpoint) -> Vec<Parameter> {
    let in_path = endpoint.path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(Object::with_type(Type::String)))
            .build()
    });
    let version = (endpoint.versions != Versions::Unversioned).then(|| {
        let versions = crate::endpoint::ApiVersion::ALL.into_iter().filter(|version| endpoint.versions.has(*version));
        ParameterBuilder::new()
            .name("api-version")
            .parameter_in(ParameterIn::Query)
            .required(Required::True)
            .description(Some("Version of the interface."))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(versions.map(crate::endpoint::ApiVersion::as_str)))
                    .build(),
            ))
            .build()
    });
    let in_query = endpoint.parameters.iter().map(|parameter| {
        ParameterBuilder::new()
            .name(parameter.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(parameter.about))
            .schema(Some(parameter_schema(parameter.kind)))
            .build()
    });
    in_path.chain(version).chain(in_query).collect()
}

fn parameter_schema(kind: ParameterKind) -> Schema {
    let text = Object::with_type(Type::String);
    match kind {
        ParameterKind::Text => Schema::Object(text),
        ParameterKind::Texts => Schema::Array(Array::new(text)),
        ParameterKind::Integer => Schema::Object(Object::with_type(Type::Integer)),
        ParameterKind::Flag => Schema::Object(Object::with_type(Type::Boolean)),
        ParameterKind::Time => {
            let time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
            Schema::Object(ObjectBuilder::new().schema_type(Type::String).format(Some(time)).build())
        }
    }
}
