//! A renderer of weir:plugin@0.1.0 that uses all that its world has.

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "what is generated from the WIT calls the host")]
mod component {
    wit_bindgen::generate!({ path: "../../wit/since-0.1.0", world: "renderer", generate_unused_types: true });

    use weir::plugin::log;
    use weir::plugin::tree::{Entry, FsError, Kind, entries, read};
    use weir::plugin::types::Level;

    struct Plugin;

    impl Guest for Plugin {
        fn render(params: Params) -> Result<Vec<Document>, Vec<Diagnostic>> {
            log::write(log::Severity::Info, &format!("renders {}", params.app));
            let mut names = Vec::new();
            for Entry {
                name,
                kind,
                size,
                executable,
                digest,
            } in entries(&params.path).map_err(|e| refused(&params.path, e))?
            {
                if kind == Kind::File {
                    let path = format!("{}/{name}", params.path);
                    let bytes = read(&path).map_err(|e| refused(&path, e))?;
                    let whole = size == bytes.len() as u64 && digest.len() == 40;
                    names.push(format!("{name} {whole} {executable}"));
                }
            }
            let facts = &params.target;
            let body = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {} }}\ndata:\n  files: '{}'\n  target: '{} {} {}'\n  namespace: '{}'\n  config: '{}'\n",
                params.app,
                names.join(", "),
                facts.name,
                facts.kubernetes,
                facts.apis.len(),
                params.namespace.as_deref().unwrap_or("none"),
                String::from_utf8_lossy(&params.config),
            );
            Ok(vec![Document {
                origin: params.path,
                body: body.into_bytes(),
            }])
        }
    }

    fn refused(path: &str, error: FsError) -> Vec<Diagnostic> {
        vec![Diagnostic {
            level: Level::Error,
            code: "no-file".to_owned(),
            message: format!("{error:?}"),
            path: Some(path.to_owned()),
            line: Some(1),
        }]
    }

    export!(Plugin);
}
