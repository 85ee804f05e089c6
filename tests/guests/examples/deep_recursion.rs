//! Guest `deep-recursion`: calls itself until the stack ends.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Calls itself until the stack ends.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![weir_guests::document(
        deeper(std::hint::black_box(u64::MAX))
            .to_string()
            .as_bytes(),
    )])
}

#[expect(
    unconditional_recursion,
    reason = "the end of the stack is what this guest is for"
)]
fn deeper(left: u64) -> u64 {
    let frame = std::hint::black_box([left; 64]);
    deeper(frame[7] - 1).wrapping_add(frame[3])
}
