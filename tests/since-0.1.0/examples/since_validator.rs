//! A validator of weir:plugin@0.1.0: each object has to say the word that lies in a file.

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "what is generated from the WIT calls the host")]
mod component {
    wit_bindgen::generate!({ path: "../../wit/since-0.1.0", world: "validator", generate_unused_types: true });

    use weir::plugin::log;
    use weir::plugin::tree::read;
    use weir::plugin::types::Level;

    struct Plugin;

    impl Guest for Plugin {
        fn validate(objects: Vec<Vec<u8>>, params: Params) -> Result<Vec<Finding>, String> {
            log::write(log::Severity::Warn, "validates");
            let path = format!("{}/word.txt", params.path);
            let word = read(&path).map_err(|error| format!("{path}: {error:?}"))?;
            let word = String::from_utf8_lossy(&word);
            let says = |object: &Vec<u8>| String::from_utf8_lossy(object).contains(word.trim());
            let without = objects
                .iter()
                .enumerate()
                .filter(|(_, object)| !says(object));
            let found = without.map(|(i, _)| Finding {
                level: Level::Error,
                code: "no-word".to_owned(),
                message: format!("does not say {}", word.trim()),
                object: u32::try_from(i).ok(),
                path: Some("/data".to_owned()),
                line: Some(1),
            });
            Ok(found.collect())
        }
    }

    export!(Plugin);
}
