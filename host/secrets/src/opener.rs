//! Opens encrypted objects with the keys that a host has, for as long as a request is made of them.

use serde_json::{Map, Value};
use weir_core::fault::Blame as _;
use weir_core::object::Object;
use weir_core::reveal::{Body, NotRevealed, Reveal, Revealed};
use zeroize::Zeroizing;

use crate::error::{SealError, SealErrors, Trouble};
use crate::form::{Form, SOPS, Sealed, SealedValue, Whole, encoded, form};
use crate::keys::Keys;
use crate::limits::SecretLimits;
use crate::sops::{Clear, DataKey, Metadata, OpenError, line_of};
use crate::sources::Sources;

/// What keys of a dotenv file's metadata begin with.
const FLAT: &str = "sops_";

/// Opens objects with these keys.
#[derive(Debug)]
pub struct Opener {
    /// Or why there are none.
    keys: Result<Keys, NotRevealed>,
    limits: SecretLimits,
}

impl Opener {
    /// With these keys.
    pub fn new(keys: Keys, limits: SecretLimits) -> Opener {
        let keys = Ok(keys);
        Opener { keys, limits }
    }

    /// Without keys, since they could not be read: what is encrypted cannot be opened for this reason.
    pub fn without(why: NotRevealed, limits: SecretLimits) -> Opener {
        let keys = Err(why);
        Opener { keys, limits }
    }

    /// Opens each of these objects and lets what it gets go again; and compares the MAC of each one's source file, where
    /// the files are at hand that the app was rendered from.
    ///
    /// # Errors
    /// Each object that cannot be opened, or whose source was changed.
    pub fn check(
        &self,
        sealed: &[Sealed<'_>],
        sources: Option<&Sources>,
    ) -> Result<(), SealErrors> {
        let mut errors = Vec::new();
        let keys = self.keys.as_ref().ok();
        let mut checked = sources.zip(keys).map(|(files, keys)| files.unchecked(keys));
        for Sealed { object, form } in sealed {
            let opened = self.opened(object, form).map(drop);
            let known = opened.and_then(|()| match &mut checked {
                Some(checked) => checked.source_of(object, form),
                None => Ok(()),
            });
            errors.extend(known.err());
        }
        SealErrors::of(errors)
    }

    /// An object's fields in the clear.
    fn opened(&self, object: &Object, form: &Form) -> Result<Revealed, SealError> {
        let mut revealed = Revealed::new(object.body());
        let Value::Object(body) = revealed.expose_mut() else {
            return Ok(revealed);
        };
        match form {
            Form::Manifest(metadata, values) => {
                body.remove(SOPS);
                let key = self.data_key(object, metadata)?;
                for value in values {
                    let place = format!("{}:{}:", value.field, value.key);
                    let clear = clear(object, value, &key, &place)?;
                    let text = clear.as_text();
                    let text =
                        text.ok_or_else(|| SealError::of(object, Trouble::NoText(value.name())))?;
                    put(body, value.field, &value.key, text.to_owned());
                }
            }
            Form::Made(whole, dotenv) => {
                for part in whole {
                    self.put_file(object, part, body)?;
                }
                if let Some((metadata, values)) = dotenv {
                    self.put_lines(object, (metadata, values), body)?;
                }
            }
        }
        Ok(revealed)
    }

    fn data_key(&self, object: &Object, metadata: &Metadata) -> Result<DataKey, SealError> {
        let keys = self.keys.as_ref();
        let keys = keys.map_err(|why| SealError::of(object, Trouble::NoKeys(why.clone())))?;
        metadata
            .data_key(keys)
            .map_err(|e| SealError::of(object, e))
    }

    fn put_file(
        &self,
        object: &Object,
        part: &Whole,
        body: &mut Map<String, Value>,
    ) -> Result<(), SealError> {
        let wrong = |error: SealError| error.in_part(part.name());
        let key = self.data_key(object, &part.file.metadata).map_err(wrong)?;
        let opened = part.file.open(&key);
        let bytes = opened.and_then(|opened| opened.write());
        let bytes = bytes.map_err(|e| wrong(SealError::of(object, e)))?;
        put_bytes(object, (part.field, &part.key), bytes, body).map_err(wrong)
    }

    fn put_lines(
        &self,
        object: &Object,
        (metadata, values): (&Metadata, &[SealedValue]),
        body: &mut Map<String, Value>,
    ) -> Result<(), SealError> {
        let key = self.data_key(object, metadata)?;
        for value in values {
            let place = format!("{}:", value.key);
            let clear = clear(object, value, &key, &place)?;
            let line = line_of(&clear).map_err(|why| {
                let key = value.name();
                SealError::of(object, OpenError::Form { key, why })
            })?;
            put_bytes(object, (value.field, &value.key), line, body)?;
        }
        if let Some(Value::Object(data)) = body.get_mut("data") {
            data.retain(|key, _| !key.starts_with(FLAT));
        }
        Ok(())
    }
}

fn clear(
    object: &Object,
    value: &SealedValue,
    key: &DataKey,
    place: &str,
) -> Result<Clear, SealError> {
    let changed = || SealError::of(object, OpenError::Changed(value.name()));
    key.open(&value.token, place).ok_or_else(changed)
}

fn put(body: &mut Map<String, Value>, field: &str, key: &str, text: String) {
    if let Some(Value::Object(map)) = body.get_mut(field) {
        map.insert(key.to_owned(), Value::String(text));
    }
}

/// Puts bytes into a Secret: as base64, or as the text that they are.
fn put_bytes(
    object: &Object,
    (field, key): (&'static str, &str),
    bytes: Zeroizing<Vec<u8>>,
    body: &mut Map<String, Value>,
) -> Result<(), SealError> {
    let text = match field {
        "data" => encoded(&bytes),
        _ => std::str::from_utf8(&bytes)
            .map_err(|_| SealError::of(object, Trouble::NoText(format!("{field}.{key}"))))?
            .to_owned(),
    };
    put(body, field, key, text);
    Ok(())
}

impl Reveal for Opener {
    fn reveal(&self, object: &Object) -> Result<Body, NotRevealed> {
        let opened = match form(object, self.limits) {
            Ok(None) => return Ok(Body::Rendered(object.body())),
            Ok(Some(form)) => self.opened(object, &form),
            Err(error) => Err(error),
        };
        opened.map(Body::Revealed).map_err(|error| NotRevealed {
            why: error.to_string(),
            fault: error.fault(),
            retry: error.retry(),
        })
    }
}

#[cfg(test)]
mod tests;
