//! The index of a template: what there is in each scope.

use std::collections::BTreeMap;
use std::fmt;

use crate::dtdl::graph::Graph;
use crate::dtdl::{Command, Content, Element, Property, Telemetry};

/// Where a capability lives: at the device or one of its modules, in a component or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Scope {
    /// Name of the module; `None` for the device itself.
    pub module: Option<String>,
    /// Name of the component; `None` for the root.
    pub component: Option<String>,
}

impl Scope {
    /// The device itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// A scope by its names.
    pub fn new(module: Option<&str>, component: Option<&str>) -> Self {
        Self { module: module.map(str::to_owned), component: component.map(str::to_owned) }
    }

    /// The column of a telemetry in this scope: `name`, `component.name`, `module.name` or `module.component.name`.
    pub fn column(&self, name: &str) -> String {
        let parts = [self.module.as_deref(), self.component.as_deref(), Some(name)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(".")
    }
}

/// `root`, `component`, `module` or `module.component`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.module, &self.component) {
            (None, None) => f.write_str("root"),
            (Some(name), None) | (None, Some(name)) => f.write_str(name),
            (Some(module), Some(component)) => write!(f, "{module}.{component}"),
        }
    }
}

/// Everything in one scope, inherited interfaces included, in document order.
#[derive(Debug, Clone, Default)]
pub struct ScopeCapabilities {
    /// What it emits.
    pub telemetry: Vec<Telemetry>,
    /// Its state; cloud properties too (in the root).
    pub properties: Vec<Property>,
    /// What it does when asked.
    pub commands: Vec<Command>,
    /// Its components, by name and texts; what is in them is in their own scope.
    pub components: Vec<Element>,
}

impl ScopeCapabilities {
    /// The telemetry of this name.
    pub fn telemetry(&self, name: &str) -> Option<&Telemetry> {
        self.telemetry.iter().find(|telemetry| telemetry.element.name == name)
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.element.name == name)
    }

    /// The command of this name.
    pub fn command(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.element.name == name)
    }
}

/// A kind of downstream device.
#[derive(Debug, Clone)]
pub struct ChildType {
    /// Name and texts of the relationship.
    pub element: Element,
    /// The module it is declared in, if not at the root.
    pub module: Option<String>,
    /// Model ids of the devices it is for; empty for any.
    pub targets: Vec<String>,
}

/// A telemetry as a column of the time series.
#[derive(Debug, Clone)]
pub struct Column<'c> {
    /// `module.component.name`, absent parts left out.
    pub name: String,
    /// Where the telemetry lives.
    pub scope: &'c Scope,
    /// The telemetry.
    pub telemetry: &'c Telemetry,
}

/// What the devices of a template can do.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    scopes: BTreeMap<Scope, ScopeCapabilities>,
    modules: Vec<Element>,
    children: Vec<ChildType>,
}

impl Capabilities {
    /// Indexes the interface `root` of a checked graph.
    pub(super) fn of(graph: &Graph, root: &str) -> Self {
        let mut capabilities = Self::default();
        capabilities.add_scope(graph, root, Scope::root());
        capabilities
    }

    fn add_scope(&mut self, graph: &Graph, interface: &str, scope: Scope) {
        let mut found = ScopeCapabilities::default();
        let (mut components, mut modules) = (Vec::new(), Vec::new());
        for content in graph.contents(interface) {
            match content {
                Content::Telemetry(telemetry) => found.telemetry.push(telemetry.clone()),
                Content::Property(property) => found.properties.push(property.clone()),
                Content::Command(command) => found.commands.push(Command::clone(command)),
                Content::Component(component) => {
                    found.components.push(component.element.clone());
                    components.push(component);
                }
                Content::Relationship(relationship) if relationship.is_edge_module() && scope == Scope::root() => {
                    self.modules.push(relationship.element.clone());
                    modules.push(relationship);
                }
                Content::Relationship(relationship) if relationship.is_gateway_device() => {
                    self.children.push(ChildType {
                        element: relationship.element.clone(),
                        module: scope.module.clone(),
                        targets: relationship.targets.clone(),
                    });
                }
                Content::Relationship(_) => {}
            }
        }
        // Components hold no components, and only the root holds modules: the checks and the guard above end this.
        for component in components {
            let inner = Scope { component: Some(component.element.name.clone()), ..scope.clone() };
            self.add_scope(graph, &component.interface, inner);
        }
        for module in modules {
            let inner = Scope { module: Some(module.element.name.clone()), component: None };
            match module.targets.first() {
                Some(model) => self.add_scope(graph, model, inner),
                None => {
                    self.scopes.insert(inner, ScopeCapabilities::default());
                }
            }
        }
        self.scopes.insert(scope, found);
    }

    /// What there is in a scope; `None` when the template has no such module or component.
    pub fn scope(&self, scope: &Scope) -> Option<&ScopeCapabilities> {
        self.scopes.get(scope)
    }

    /// What the device itself has, outside components and modules.
    pub fn root(&self) -> &ScopeCapabilities {
        self.scopes.get(&Scope::root()).expect("a template that parsed has a root interface")
    }

    /// All scopes.
    pub fn scopes(&self) -> impl Iterator<Item = (&Scope, &ScopeCapabilities)> {
        self.scopes.iter()
    }

    /// All telemetry, as columns.
    pub fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        self.scopes.iter().flat_map(|(scope, capabilities)| {
            let column = |telemetry: &'_ Telemetry| scope.column(&telemetry.element.name);
            capabilities.telemetry.iter().map(move |telemetry| Column { name: column(telemetry), scope, telemetry })
        })
    }

    pub(super) fn modules(&self) -> &[Element] {
        &self.modules
    }

    pub(super) fn components(&self, module: Option<&str>) -> &[Element] {
        self.scopes.get(&Scope::new(module, None)).map_or(&[], |scope| &scope.components)
    }

    pub(super) fn children(&self) -> &[ChildType] {
        &self.children
    }
}
