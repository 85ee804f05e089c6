//! A transformer of weir:plugin@0.1.0: it puts what lies in a file into each object's text.

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "what is generated from the WIT calls the host")]
mod component {
    wit_bindgen::generate!({ path: "../../wit/since-0.1.0", world: "transformer", generate_unused_types: true });

    use weir::plugin::log;
    use weir::plugin::tree::read;
    use weir::plugin::types::Level;

    struct Plugin;

    impl Guest for Plugin {
        fn transform(
            objects: Vec<Vec<u8>>,
            params: Params,
        ) -> Result<Vec<Vec<u8>>, Vec<Diagnostic>> {
            log::write(log::Severity::Debug, "transforms");
            let path = format!("{}/word.txt", params.path);
            let word = read(&path).map_err(|error| {
                vec![Diagnostic {
                    level: Level::Error,
                    code: "no-word".to_owned(),
                    message: format!("{error:?}"),
                    path: Some(path),
                    line: None,
                }]
            })?;
            let word = String::from_utf8_lossy(&word);
            let changed = objects.iter().map(|object| {
                let text = String::from_utf8_lossy(object);
                text.replace("WORD", word.trim()).into_bytes()
            });
            Ok(changed.collect())
        }
    }

    export!(Plugin);
}
