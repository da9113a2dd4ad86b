//! Keeps what is said.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

/// Keeps what is said.
#[derive(Clone, Default)]
pub struct Said(Rc<RefCell<Vec<u8>>>);

impl Said {
    /// All of it, without colours.
    pub fn text(&self) -> String {
        let text = String::from_utf8(self.0.borrow().clone()).expect("UTF-8");
        anstream::adapter::strip_str(&text).to_string()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
