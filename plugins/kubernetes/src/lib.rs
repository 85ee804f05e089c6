//! What Kubernetes' own kinds look like: fields, types, merge keys, by the OpenAPI of one version.
//!
//! `shapes.txt` has a sorted line for each kind and each definition, made by `cargo xtask shapes` from the Kubernetes that
//! the tests' control plane is built from. A line is found by halving the text, and read when it is asked for: nothing is
//! parsed before, and nothing is copied.
//!
//! ```text
//! #v1.37.2
//! =apps/v1/Deployment  apps.v1.Deployment  N
//! core.v1.PodSpec      containers!~name=[<name>@core.v1.Container  hostNetwork=b  ...
//! ```
//!
//! | in a line | means |
//! | --- | --- |
//! | `N`, `C` | the kind lives in a namespace, or in none |
//! | `field!` | the field is required |
//! | `field~KEY` | a strategic merge patch merges its items by this key; without a key, items are values |
//! | `field^` | a strategic merge patch replaces it as a whole |
//! | `s`, `s(A\|B)` | text, one of these texts |
//! | `y`, `t`, `q`, `p` | base64, a time, a quantity, a whole number or text |
//! | `i`, `l`, `n`, `b` | a 32-bit and a 64-bit whole number, a number, a boolean |
//! | `@NAME` | a definition |
//! | `{T`, `[T` | a map, a list of `T` |
//! | `[<>T`, `[<KEY,KEY=DEFAULT>T` | a list in which no item, or no such key, stands twice |
//! | `(T/U` | one or the other, by what the JSON is |
//! | `o`, `*` | any object, anything |

const SHAPES: &str = include_str!("shapes.txt");

/// A kind that objects can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What its objects look like.
    pub definition: Definition,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

/// The fields of one type: a line of the text, without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition(&'static str);

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether an object must have it.
    pub required: bool,
    /// How a strategic merge patch treats it.
    pub merge: Merge,
    shape: Inner,
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// A list is replaced as a whole; a map is merged.
    Plain,
    /// A list is merged, item by item, which this key tells apart.
    ByKey(&'static str),
    /// A list of values is merged as a set.
    Values,
    /// A map is replaced as a whole.
    Replace,
}

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text; where there is a list, one of it (see [`choices`]).
    Text(Option<&'static str>),
    /// Base64.
    Bytes,
    /// A time by RFC 3339.
    Time,
    /// A quantity such as `500m` or `1Gi`: text or a number.
    Quantity,
    /// A 32-bit whole number or text.
    IntOrText,
    /// A 32-bit whole number.
    Int32,
    /// A 64-bit whole number.
    Int64,
    /// A number.
    Number,
    /// A boolean.
    Bool,
    /// A definition.
    Of(Definition),
    /// A map with values of this shape.
    Map(Inner),
    /// A list with items of this shape. The keys are as [`keys`] reads them; `None` allows anything twice.
    List(Option<&'static str>, Inner),
    /// One or the other, by what the JSON is.
    Either(Inner, Inner),
    /// Any object.
    Object,
    /// Anything.
    Anything,
}

/// A shape inside another, read when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner(&'static str);

/// The version of Kubernetes that all this is of, such as `1.37.2`.
#[must_use]
pub fn version() -> &'static str {
    let first = SHAPES.lines().next().unwrap_or_default();
    first.trim_start_matches("#v")
}

/// A kind of Kubernetes' own, by an object's `apiVersion` and `kind`.
#[must_use]
pub fn kind(api_version: &str, kind: &str) -> Option<Kind> {
    let line = line(&format!("={api_version}/{kind}"))?;
    let (name, scope) = line.split_once('\t')?;
    Some(Kind {
        definition: definition(name)?,
        namespaced: scope == "N",
    })
}

/// All kinds, as `VERSION/KIND`, sorted.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let lines = SHAPES.lines().filter_map(|line| line.strip_prefix('='));
    lines.filter_map(|line| line.split('\t').next())
}

/// A definition by its name, such as `meta.v1.ObjectMeta`.
#[must_use]
pub fn definition(name: &str) -> Option<Definition> {
    line(name).map(Definition)
}

/// The texts of [`Shape::Text`].
pub fn choices(list: &'static str) -> impl Iterator<Item = &'static str> + Clone {
    list.split('|')
}

/// The keys of [`Shape::List`], each with the value that it has where it is left out. Without a key, whole items are
/// compared.
pub fn keys(list: &'static str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let keys = list.split(',').filter(|key| !key.is_empty());
    keys.map(|key| match key.split_once('=') {
        Some((key, default)) => (key, Some(default)),
        None => (key, None),
    })
}

impl Definition {
    /// The fields, sorted by name.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        let fields = self.0.split('\t').filter(|field| !field.is_empty());
        fields.filter_map(field)
    }

    /// The fields' names, sorted.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let fields = self.0.split('\t').filter(|field| !field.is_empty());
        fields.filter_map(name)
    }

    /// The field of a name.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Field> {
        self.fields().find(|field| field.name == name)
    }
}

impl Field {
    /// What it may hold.
    #[must_use]
    pub fn shape(self) -> Shape {
        self.shape.shape()
    }
}

impl Inner {
    /// The shape.
    #[must_use]
    pub fn shape(self) -> Shape {
        shape(self.0)
    }
}

/// A line of the text without its first field, which is `name`, by halving.
fn line(name: &str) -> Option<&'static str> {
    let bytes = SHAPES.as_bytes();
    let is_break = |b: &u8| *b == b'\n';
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let before = bytes.get(low..middle)?.iter().rposition(is_break);
        let start = before.map_or(low, |at| low + at + 1);
        let first = bytes
            .get(start..)?
            .iter()
            .position(|b| *b == b'\t' || is_break(b));
        let tab = first.map_or(bytes.len(), |at| start + at);
        match bytes.get(start..tab)?.cmp(name.as_bytes()) {
            std::cmp::Ordering::Equal => {
                let end = bytes.get(tab..)?.iter().position(is_break);
                let end = end.map_or(bytes.len(), |at| tab + at);
                return Some(SHAPES.get(tab..end)?.trim_start_matches('\t'));
            }
            std::cmp::Ordering::Less => {
                let end = bytes.get(middle.max(tab)..)?.iter().position(is_break);
                low = end.map_or(bytes.len(), |at| middle.max(tab) + at + 1);
            }
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

fn name(text: &'static str) -> Option<&'static str> {
    text.split(['!', '~', '^', '=']).next()
}

fn field(text: &'static str) -> Option<Field> {
    let (left, right) = text.split_once('=')?;
    let name = name(left)?;
    let (_, flags) = left.split_at(name.len());
    let merge = match flags.split_once('~') {
        None if flags.ends_with('^') => Merge::Replace,
        None => Merge::Plain,
        Some((_, "")) => Merge::Values,
        Some((_, key)) => Merge::ByKey(key),
    };
    Some(Field {
        name,
        required: flags.starts_with('!'),
        merge,
        shape: Inner(right),
    })
}

/// A shape by its letters. What is not known may be anything: then nothing is refused that a cluster would take.
fn shape(text: &'static str) -> Shape {
    let Some((first, rest)) = text.split_at_checked(1) else {
        return Shape::Anything;
    };
    match first {
        "s" => Shape::Text(
            rest.strip_prefix('(')
                .map(|list| list.trim_end_matches(')')),
        ),
        "y" => Shape::Bytes,
        "t" => Shape::Time,
        "q" => Shape::Quantity,
        "p" => Shape::IntOrText,
        "i" => Shape::Int32,
        "l" => Shape::Int64,
        "n" => Shape::Number,
        "b" => Shape::Bool,
        "o" => Shape::Object,
        "@" => definition(rest).map_or(Shape::Anything, Shape::Of),
        "{" => Shape::Map(Inner(rest)),
        "[" => match rest.strip_prefix('<').and_then(|keys| keys.split_once('>')) {
            Some((keys, item)) => Shape::List(Some(keys), Inner(item)),
            None => Shape::List(None, Inner(rest)),
        },
        "(" => match rest.split_once('/') {
            Some((one, other)) => Shape::Either(Inner(one), Inner(other)),
            None => Shape::Anything,
        },
        _ => Shape::Anything,
    }
}

#[cfg(test)]
mod tests;
