//! The shape of a function's type: what it takes and gives, down to the names of fields and cases, whatever its types are
//! called. Two functions of one shape are one to the component model.

use wit_parser::{Function, Resolve, Type, TypeDefKind};

/// How deep types may lie inside each other; those of a plugin need five.
const MAX_DEPTH: usize = 20;

/// The shape as text, which differs where the shapes do.
pub(super) fn shape(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<String> = function
        .params
        .iter()
        .map(|param| of(resolve, &param.ty, 0))
        .collect();
    let result = function.result.as_ref();
    let result = result.map_or_else(String::new, |ty| of(resolve, ty, 0));
    format!("func({}) -> {result}", params.join(", "))
}

fn of(resolve: &Resolve, ty: &Type, depth: usize) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let Some(def) = resolve.types.get(*id).filter(|_| depth < MAX_DEPTH) else {
        return "?".to_owned();
    };
    let one = |ty: &Type| of(resolve, ty, depth + 1);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), one);
    match &def.kind {
        TypeDefKind::Type(ty) => one(ty),
        TypeDefKind::List(ty) => format!("list<{}>", one(ty)),
        TypeDefKind::Option(ty) => format!("option<{}>", one(ty)),
        TypeDefKind::Result(r) => format!("result<{}, {}>", maybe(&r.ok), maybe(&r.err)),
        TypeDefKind::Tuple(t) => {
            let parts: Vec<String> = t.types.iter().map(one).collect();
            format!("tuple<{}>", parts.join(", "))
        }
        TypeDefKind::Record(r) => {
            let fields = r.fields.iter();
            let fields: Vec<String> = fields
                .map(|f| format!("{}: {}", f.name, one(&f.ty)))
                .collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        TypeDefKind::Enum(e) => {
            let cases: Vec<&str> = e.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Variant(v) => {
            let cases = v.cases.iter();
            let cases: Vec<String> = cases
                .map(|c| format!("{}({})", c.name, maybe(&c.ty)))
                .collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        // None of these is in any world of a plugin.
        other => other.as_str().to_owned(),
    }
}
