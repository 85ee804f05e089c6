//! Typed values from nodes, with errors that know their place.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected,
    IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Mark, Node, NodeKind, YamlError};

/// From this likeness on (Jaro-Winkler, 0 to 1) a known name is worth suggesting.
const ALIKE: f64 = 0.75;

/// A typed value, or the first refusal with its place.
pub(super) fn typed<T: DeserializeOwned>(node: &Node) -> Result<T, YamlError> {
    T::deserialize(Place(node))
        .map_err(|refusal| refusal.at(node.mark))
        .map_err(|refusal| YamlError {
            mark: refusal.mark.unwrap_or(node.mark),
            message: refusal.message,
        })
}

/// An error that gets its place from the innermost key or value it passes.
#[derive(Debug)]
struct Refusal {
    mark: Option<Mark>,
    message: String,
}

impl Refusal {
    fn at(mut self, mark: Mark) -> Refusal {
        self.mark.get_or_insert(mark);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl serde::de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Refusal {
        Refusal {
            mark: None,
            message: message.to_string(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Refusal {
        let expected = expectation(expected);
        let hint = match found {
            _ if expected != "text" => "",
            Unexpected::Bool(_) => {
                "; put it in quotes (YAML reads y, yes, on, n, no and off without quotes as true or false)"
            }
            Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Float(_) => {
                "; put it in quotes"
            }
            _ => "",
        };
        Refusal::custom(format_args!(
            "expected {expected}, found {}{hint}",
            Found(found)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Refusal {
        Refusal::custom(format_args!(
            "expected {}, found {}",
            expectation(expected),
            Found(found)
        ))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Refusal {
        Refusal::custom(format_args!(
            "expected {}, found {length} items",
            expectation(expected)
        ))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Refusal {
        Refusal::custom(unknown("key", field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Refusal {
        Refusal::custom(unknown("value", variant, expected))
    }

    fn missing_field(field: &'static str) -> Refusal {
        Refusal::custom(format_args!("the key {field:?} is missing"))
    }

    fn duplicate_field(field: &'static str) -> Refusal {
        Refusal::custom(format_args!(
            "the key {field:?} is there twice, or beside another name of it"
        ))
    }
}

fn unknown(what: &str, found: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("unknown {what} {found:?}: none is expected here");
    }
    let mut message = format!(
        "unknown {what} {found:?}: expected one of {}",
        known.join(", ")
    );
    let lower = found.to_lowercase();
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    if let Some((likeness, name)) = nearest
        && likeness >= ALIKE
    {
        message.push_str(&format!("; did you mean {name:?}?"));
    }
    message
}

/// What serde expects, in the words of YAML.
fn expectation(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    if text.starts_with("struct ") {
        return "a map".to_owned();
    }
    match text.as_str() {
        "a string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "unit" => "nothing".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "isize" => {
            "a whole number".to_owned()
        }
        "f32" | "f64" => "a number".to_owned(),
        _ => text,
    }
}

struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(value) => write!(f, "{value}"),
            Unexpected::Unsigned(value) => write!(f, "the number {value}"),
            Unexpected::Signed(value) => write!(f, "the number {value}"),
            Unexpected::Float(value) => write!(f, "the number {value}"),
            Unexpected::Str(text) => write!(f, "the text {text:?}"),
            Unexpected::Unit | Unexpected::Option => f.write_str("nothing"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("a map"),
            ref other => write!(f, "{other}"),
        }
    }
}

/// A node as a deserializer.
struct Place<'de>(&'de Node);

impl<'de> Place<'de> {
    fn fields<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if matches!(self.0.kind, NodeKind::Sequence(_)) {
            let refusal = serde::de::Error::invalid_type(Unexpected::Seq, &visitor);
            return Err(Refusal::at(refusal, self.0.mark));
        }
        self.deserialize_any(visitor)
    }
}

impl<'de> Deserializer<'de> for Place<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            NodeKind::Null => visitor.visit_unit(),
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Number(number) => visit_number(number, visitor),
            NodeKind::String(text) => visitor.visit_borrowed_str(text),
            NodeKind::Sequence(items) => {
                let mut left = items.iter();
                let value = visitor.visit_seq(Items(&mut left))?;
                match left.next() {
                    None => Ok(value),
                    Some(extra) => {
                        Err(Refusal::custom("the list has more items than expected").at(extra.mark))
                    }
                }
            }
            NodeKind::Mapping(entries) => visitor.visit_map(Entries {
                left: entries.iter(),
                value: None,
            }),
        }
        .map_err(|refusal| refusal.at(self.0.mark))
    }

    /// A map, by keys: serde would read a list as the fields in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.fields(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.kind == NodeKind::Null {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            NodeKind::String(text) => visitor.visit_enum(Variant {
                mark: self.0.mark,
                name: text,
                value: None,
            }),
            NodeKind::Mapping(entries) => match entries.as_slice() {
                [(mark, name, value)] => visitor.visit_enum(Variant {
                    mark: *mark,
                    name,
                    value: Some(value),
                }),
                _ => Err(Refusal::custom(format_args!(
                    "expected one key, found {} keys",
                    entries.len()
                ))),
            },
            _ => Err(Refusal::custom(format_args!(
                "expected one of {}, found {}",
                variants.join(", "),
                Found(unexpected(self.0))
            ))),
        }
        .map_err(|refusal| refusal.at(self.0.mark))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

fn unexpected(node: &Node) -> Unexpected<'_> {
    match &node.kind {
        NodeKind::Null => Unexpected::Unit,
        NodeKind::Bool(value) => Unexpected::Bool(*value),
        NodeKind::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Unexpected::Unsigned(value),
            (_, Some(value)) => Unexpected::Signed(value),
            _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        NodeKind::String(text) => Unexpected::Str(text),
        NodeKind::Sequence(_) => Unexpected::Seq,
        NodeKind::Mapping(_) => Unexpected::Map,
    }
}

fn visit_number<'de, V: Visitor<'de>>(
    number: &serde_json::Number,
    visitor: V,
) -> Result<V::Value, Refusal> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(value), ..) => visitor.visit_u64(value),
        (_, Some(value), _) => visitor.visit_i64(value),
        (.., Some(value)) => visitor.visit_f64(value),
        _ => Err(Refusal::custom(format_args!(
            "the number {number} does not fit 64 bits"
        ))),
    }
}

struct Items<'a, 'de>(&'a mut std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let Some(item) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Place(item))
            .map(Some)
            .map_err(|refusal| refusal.at(item.mark))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    left: std::slice::Iter<'de, (Mark, String, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let Some((mark, key, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(Key {
            mark: *mark,
            text: key,
        })
        .map(Some)
        .map_err(|refusal| refusal.at(*mark))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        let Some(value) = self.value.take() else {
            return Err(Refusal::custom("a value was asked for before its key"));
        };
        seed.deserialize(Place(value))
            .map_err(|refusal| refusal.at(value.mark))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// A map's key: text, but a number or a boolean where the type wants one.
struct Key<'de> {
    mark: Mark,
    text: &'de str,
}

impl<'de> Key<'de> {
    fn parsed<T: std::str::FromStr>(&self, expected: &str) -> Result<T, Refusal> {
        self.text.parse().map_err(|_| {
            Refusal::custom(format_args!(
                "expected {expected} as the key, found {:?}",
                self.text
            ))
            .at(self.mark)
        })
    }
}

macro_rules! parsed_key {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            visitor.$visit(self.parsed::<$type>($expected)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_borrowed_str(self.text)
    }

    parsed_key! {
        deserialize_bool visit_bool bool, "true or false";
        deserialize_i8 visit_i8 i8, "a whole number";
        deserialize_i16 visit_i16 i16, "a whole number";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_u8 visit_u8 u8, "a whole number";
        deserialize_u16 visit_u16 u16, "a whole number";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(Variant {
            mark: self.mark,
            name: self.text,
            value: None,
        })
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// An enum: its variant's name alone, or as the only key of a map.
struct Variant<'de> {
    mark: Mark,
    name: &'de str,
    value: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        let name: StrDeserializer<'_, Refusal> = self.name.into_deserializer();
        let variant = seed
            .deserialize(name)
            .map_err(|refusal| refusal.at(self.mark))?;
        Ok((variant, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self) -> Result<&'de Node, Refusal> {
        self.value.ok_or_else(|| {
            Refusal::custom(format_args!(
                "{:?} takes a value: write `{}: ...`",
                self.name, self.name
            ))
            .at(self.mark)
        })
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        match self.value {
            None
            | Some(Node {
                kind: NodeKind::Null,
                ..
            }) => Ok(()),
            Some(node) => {
                Err(Refusal::custom(format_args!("{:?} takes no value", self.name)).at(node.mark))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        let content = self.content()?;
        seed.deserialize(Place(content))
            .map_err(|refusal| refusal.at(content.mark))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        Place(self.content()?).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        Place(self.content()?).fields(visitor)
    }
}
