//! The type check: a parsed condition becomes a program, or an error at the operator or name that does not fit.
//!
//! The types are those of the original, and so is what it lets through by accident; each such place says **Quirk**. A
//! property is always text, a body value is *dynamic* and fits almost everywhere.
use super::body::BodyPath;
use super::error::Fault;
use super::function::{self, CallError, Function};
use super::syntax::{Arithmetic, BinaryOperator, Comparison, Element, Literal, Node};

/// What is known of a value before any message is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Number,
    Text,
    Null,
    Undefined,
    Dynamic,
}

/// A compiled condition: instructions for a stack machine and the type it leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    pub(super) instructions: Vec<Instruction>,
    pub(super) result: Type,
}

/// One step. Lookups push; the others take their operands from the stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instruction {
    Literal(Literal),
    Application(String),
    /// `application` is the name with its `$`, unless it was escaped; an application property of that name wins.
    System {
        application: Option<String>,
        name: String,
    },
    Body {
        application: Option<String>,
        path: BodyPath,
    },
    Negate,
    Not,
    /// Of a body value or something calculated from one.
    NotDynamic,
    Arithmetic(Arithmetic),
    ArithmeticDynamic(Arithmetic),
    Compare(Comparison),
    CompareDynamic(Comparison),
    And,
    AndDynamic,
    Or,
    OrDynamic,
    Coalesce,
    Call {
        function: Function,
        arguments: usize,
    },
}

/// Compiles a condition in postfix order.
pub(super) fn compile(nodes: Vec<Node>) -> Result<Program, Fault> {
    let mut compiler = Compiler { instructions: Vec::with_capacity(nodes.len()), types: Vec::new() };
    for node in nodes {
        compiler.node(node)?;
    }
    let result = compiler.types.pop().unwrap_or(Type::Undefined);
    Ok(Program { instructions: compiler.instructions, result })
}

struct Compiler {
    instructions: Vec<Instruction>,
    types: Vec<Type>,
}

impl Compiler {
    fn node(&mut self, Node { offset, element }: Node) -> Result<(), Fault> {
        match element {
            Element::Literal(literal) => {
                let literal_type = match &literal {
                    Literal::Bool(_) => Type::Bool,
                    Literal::Number(_) => Type::Number,
                    Literal::Text(_) => Type::Text,
                    Literal::Null => Type::Null,
                    Literal::Undefined => Type::Undefined,
                };
                self.emit(Instruction::Literal(literal), literal_type);
                Ok(())
            }
            Element::Property(name) => self.property(offset, name),
            Element::System { name, escaped } => self.system(offset, name, escaped),
            Element::Negate => {
                let operand = self.pop();
                let instruction = (operand == Type::Number).then_some(Instruction::Negate);
                self.accept(instruction, Type::Number, || unary_fault(offset, "-", operand, "a number"))
            }
            Element::Not => {
                let operand = self.pop();
                let instruction = match operand {
                    Type::Bool | Type::Null => Some(Instruction::Not),
                    Type::Dynamic => Some(Instruction::NotDynamic),
                    _ => None,
                };
                self.accept(instruction, Type::Bool, || unary_fault(offset, "not", operand, "a bool"))
            }
            Element::Binary(operator) => {
                let right = self.pop();
                let left = self.pop();
                let (instruction, result) = binary(operator, left, right).unzip();
                self.accept(instruction, result.unwrap_or(Type::Undefined), || {
                    let message =
                        format!("'{}' does not go between {} and {}", operator.sign(), noun(left), noun(right));
                    Fault::compile(offset, message)
                })
            }
            Element::Call { function, arguments } => self.call(offset, &function, arguments),
        }
    }

    /// A bare name is an application property. The grammar makes `-$body.x` one too, never what was meant: refused.
    fn property(&mut self, offset: usize, name: String) -> Result<(), Fault> {
        if name.strip_prefix('-').and_then(body_path).is_some() {
            return Err(unary_fault(offset, "-", Type::Dynamic, "a number"));
        }
        self.emit(Instruction::Application(name), Type::Text);
        Ok(())
    }

    /// `$name` and `{$name}`: the body, or a system property. **Quirk**: any other name with brackets is undefined.
    fn system(&mut self, offset: usize, name: String, escaped: bool) -> Result<(), Fault> {
        let bracketed = name.contains(['[', ']']);
        let application = (!escaped && !bracketed).then(|| name.clone());
        if let Some(path) = body_path(&name) {
            let path_offset = offset + name.len() - path.len();
            let path = BodyPath::parse(path).map_err(|(at, message)| Fault::compile(path_offset + at, message))?;
            self.emit(Instruction::Body { application, path }, Type::Dynamic);
        } else if bracketed {
            self.emit(Instruction::Literal(Literal::Undefined), Type::Undefined);
        } else {
            let name = name[1..].to_owned();
            self.emit(Instruction::System { application, name }, Type::Text);
        }
        Ok(())
    }

    fn call(&mut self, offset: usize, name: &str, arguments: usize) -> Result<(), Fault> {
        let types = self.types.split_off(self.types.len().saturating_sub(arguments));
        match function::resolve(name, &types) {
            Ok((function, result)) => {
                self.emit(Instruction::Call { function, arguments }, result);
                Ok(())
            }
            Err(CallError::UnknownFunction) => Err(Fault::compile(offset, format!("unknown function '{name}'"))),
            Err(CallError::WrongArguments) => {
                let given: Vec<&str> = types.into_iter().map(noun).collect();
                let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
                Err(Fault::compile(offset, format!("wrong arguments: '{name}' does not take {given}")))
            }
        }
    }

    fn accept(
        &mut self,
        instruction: Option<Instruction>,
        result: Type,
        fault: impl FnOnce() -> Fault,
    ) -> Result<(), Fault> {
        self.emit(instruction.ok_or_else(fault)?, result);
        Ok(())
    }

    fn emit(&mut self, instruction: Instruction, result: Type) {
        self.instructions.push(instruction);
        self.types.push(result);
    }

    fn pop(&mut self) -> Type {
        self.types.pop().unwrap_or(Type::Undefined)
    }
}

/// The text behind `$body.`, which ignores case.
fn body_path(name: &str) -> Option<&str> {
    const PREFIX: &str = "$body.";
    let (prefix, path) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(path)
}

/// The instruction and result type of a binary operator, `None` when the operands do not fit.
fn binary(operator: BinaryOperator, left: Type, right: Type) -> Option<(Instruction, Type)> {
    match operator {
        BinaryOperator::Arithmetic(operator) => match (left, right) {
            (Type::Number, Type::Number) => Some((Instruction::Arithmetic(operator), Type::Number)),
            // The original has no remainder of body values and fails while compiling.
            _ if operator == Arithmetic::Remainder => None,
            (Type::Dynamic, Type::Number | Type::Dynamic) | (Type::Number, Type::Dynamic) => {
                Some((Instruction::ArithmeticDynamic(operator), Type::Dynamic))
            }
            _ => None,
        },
        BinaryOperator::Concat => {
            let text = |operand| matches!(operand, Type::Text | Type::Dynamic);
            let call = Instruction::Call { function: Function::Concat, arguments: 2 };
            (text(left) && text(right)).then_some((call, Type::Text))
        }
        BinaryOperator::Compare(comparison) => match same_type(left, right)? {
            Type::Dynamic => Some((Instruction::CompareDynamic(comparison), Type::Bool)),
            _ => Some((Instruction::Compare(comparison), Type::Bool)),
        },
        BinaryOperator::And => logic(left, right, Type::Null)
            .map(|(dynamic, result)| (if dynamic { Instruction::AndDynamic } else { Instruction::And }, result)),
        BinaryOperator::Or => logic(left, right, Type::Bool)
            .map(|(dynamic, result)| (if dynamic { Instruction::OrDynamic } else { Instruction::Or }, result)),
        BinaryOperator::Coalesce => same_type(left, right).map(|result| (Instruction::Coalesce, result)),
    }
}

/// The common type of two operands: the same, or dynamic when one is. The literal `undefined` goes with itself only.
fn same_type(left: Type, right: Type) -> Option<Type> {
    match (left, right) {
        _ if left == right => Some(left),
        (Type::Dynamic, Type::Undefined) | (Type::Undefined, Type::Dynamic) => None,
        (Type::Dynamic, _) | (_, Type::Dynamic) => Some(Type::Dynamic),
        _ => None,
    }
}

/// Whether `and`/`or` is of body values, and its type; `with_null` is the result of a bool and null.
///
/// **Quirk**: a body value may stand on the left only, and then the right side may be anything (but `and null`, for which
/// the original finds no conversion). **Quirk**: the literals null and undefined do not go together.
fn logic(left: Type, right: Type, with_null: Type) -> Option<(bool, Type)> {
    match (left, right) {
        (Type::Dynamic, Type::Null) if with_null == Type::Null => None,
        (Type::Dynamic, _) => Some((true, Type::Bool)),
        (Type::Null, Type::Null) => Some((false, Type::Null)),
        (Type::Null, Type::Bool) | (Type::Bool, Type::Null) => Some((false, with_null)),
        (Type::Bool | Type::Undefined, Type::Bool | Type::Undefined) => Some((false, Type::Bool)),
        _ => None,
    }
}

fn unary_fault(offset: usize, sign: &str, operand: Type, wanted: &str) -> Fault {
    Fault::compile(offset, format!("'{sign}' needs {wanted}, not {}", noun(operand)))
}

fn noun(operand: Type) -> &'static str {
    match operand {
        Type::Bool => "a bool",
        Type::Number => "a number",
        Type::Text => "a text",
        Type::Null => "null",
        Type::Undefined => "undefined",
        Type::Dynamic => "a body value",
    }
}
