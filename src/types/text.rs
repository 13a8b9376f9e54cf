//! Text in fixed fields of the standard's structures.

/// The length of a token's label, in bytes (`CK_TOKEN_INFO`, PKCS#11 v3.2 §3.2).
pub const LABEL_LEN: usize = 32;

/// `text` in a field of `N` bytes, padded with blanks and never terminated
/// (PKCS#11 v3.2 §3.1). Text that is too long is cut at a character boundary.
#[must_use]
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn short_text_is_padded_and_long_text_is_cut_between_characters() {
        assert_eq!(&padded::<4>("ab"), b"ab  ");
        assert_eq!(&padded::<4>("abcdef"), b"abcd");
        assert_eq!(&padded::<4>("abc\u{e9}"), b"abc ");
    }
}
