//! The shape of a function's type: what it takes and gives, down to the names of fields and cases, whatever its types are
//! called. Two functions of one shape are one to the component model.

use wit_parser::{Function, Resolve, Type, TypeDefKind};

/// How deep types may lie inside each other; those of a plugin need five.
const MAX_DEPTH: usize = 20;
/// How long a shape may be, in bytes: a component may use one long type often. A plugin's have some hundreds.
const MAX_SHAPE: usize = 16 << 10;

/// The shape as text, which differs where the shapes do; `None` where it is longer than any of a plugin's.
pub(super) fn shape(resolve: &Resolve, function: &Function) -> Option<String> {
    let mut shape = Shape {
        resolve,
        text: String::new(),
    };
    shape.say("func(");
    let params = function.params.iter();
    shape.each(params, |shape, param| shape.of(&param.ty, 0));
    shape.say(") -> ");
    if let Some(ty) = &function.result {
        shape.of(ty, 0);
    }
    (shape.text.len() <= MAX_SHAPE).then_some(shape.text)
}

/// A shape that is being written: no more is once it is too long.
struct Shape<'a> {
    resolve: &'a Resolve,
    text: String,
}

impl Shape<'_> {
    fn say(&mut self, text: &str) {
        let left = (MAX_SHAPE + 1).saturating_sub(self.text.len());
        self.text.extend(text.chars().take(left));
    }

    fn is_full(&self) -> bool {
        self.text.len() > MAX_SHAPE
    }

    fn each<T>(&mut self, items: impl Iterator<Item = T>, mut one: impl FnMut(&mut Self, T)) {
        for (n, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if n > 0 {
                self.say(", ");
            }
            one(self, item);
        }
    }

    fn of(&mut self, ty: &Type, depth: usize) {
        if self.is_full() {
            return;
        }
        let resolve = self.resolve;
        let Type::Id(id) = ty else {
            return self.say(&format!("{ty:?}").to_lowercase());
        };
        let Some(def) = resolve.types.get(*id).filter(|_| depth < MAX_DEPTH) else {
            return self.say("?");
        };
        let depth = depth + 1;
        match &def.kind {
            TypeDefKind::Type(ty) => self.of(ty, depth),
            TypeDefKind::List(ty) => self.around("list", [Some(ty)], depth),
            TypeDefKind::Option(ty) => self.around("option", [Some(ty)], depth),
            TypeDefKind::Result(r) => {
                self.around("result", [r.ok.as_ref(), r.err.as_ref()], depth);
            }
            TypeDefKind::Tuple(t) => self.around("tuple", t.types.iter().map(Some), depth),
            TypeDefKind::Record(r) => {
                self.say("record { ");
                self.each(r.fields.iter(), |shape, field| {
                    shape.say(&format!("{}: ", field.name));
                    shape.of(&field.ty, depth);
                });
                self.say(" }");
            }
            TypeDefKind::Enum(e) => {
                self.say("enum { ");
                self.each(e.cases.iter(), |shape, case| shape.say(&case.name));
                self.say(" }");
            }
            TypeDefKind::Variant(v) => {
                self.say("variant { ");
                self.each(v.cases.iter(), |shape, case| {
                    shape.around(&case.name, [case.ty.as_ref()], depth);
                });
                self.say(" }");
            }
            // None of these is in any world of a plugin.
            other => self.say(other.as_str()),
        }
    }

    fn around<'t>(
        &mut self,
        name: &str,
        types: impl IntoIterator<Item = Option<&'t Type>>,
        depth: usize,
    ) {
        self.say(name);
        self.say("<");
        self.each(types.into_iter(), |shape, ty| match ty {
            Some(ty) => shape.of(ty, depth),
            None => shape.say("_"),
        });
        self.say(">");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of the one function of an interface with these types.
    fn shape_of(types: &str, ty: &str) -> Option<String> {
        let text = format!("package a:b; interface i {{ {types} f: func(a: u8) -> {ty}; }}");
        let mut resolve = Resolve::default();
        resolve.push_str("a.wit", &text).unwrap();
        let interface = resolve.interfaces.iter().next().unwrap().1;
        let function = interface.functions.values().next().unwrap();
        shape(&resolve, function)
    }

    #[test]
    fn a_shape_has_names_of_fields_and_none_of_types() {
        let one = shape_of(
            "record r { a: list<u8>, b: option<string> }",
            "result<r, string>",
        );
        assert_eq!(
            one.as_deref(),
            Some("func(u8) -> result<record { a: list<u8>, b: option<string> }, string>")
        );
        let renamed = shape_of(
            "record other { a: list<u8>, b: option<string> }",
            "result<other, string>",
        );
        assert_eq!(renamed, one);
        assert_ne!(
            shape_of(
                "record r { c: list<u8>, b: option<string> }",
                "result<r, string>"
            ),
            one
        );
    }

    #[test]
    fn a_type_that_says_much_often_has_no_shape_and_takes_no_time() {
        let long = "a".repeat(1000);
        let mut types = format!("record t0 {{ {long}: u8 }} ");
        for n in 1..15 {
            let inner = vec![format!("t{}", n - 1); 8].join(", ");
            types.push_str(&format!("type t{n} = tuple<{inner}>; "));
        }
        assert_eq!(shape_of(&types, "t14"), None);
    }
}
