use super::*;
/// What comes out when `text` comes in `step` bytes at a time.
fn split(limit: usize, step: usize, text: &[u8]) -> Vec<Result<String, usize>> {
    let mut splitter = Lines::new(limit);
    let mut splits = Vec::new();
    let kept = |line: Piece<'_>| match line {
        Piece::Text(line) => Ok(String::from_utf8(line.to_vec()).unwrap()),
        Piece::TooLong { length, .. } => Err(length),
    };
    for piece in text.chunks(step) {
        let _ = splitter.push(piece, |line| {
            splits.push(kept(line));
            ControlFlow::Continue(())
        });
    }
    splits.extend(splitter.last().map(kept));
    splits
}

#[test]
fn lines_are_the_same_however_they_come() {
    let text = b"one\n\nseven77\neightoo8\nfar too long for it\n12\nlast";
    let lines = [
        Ok("one".to_owned()),
        Ok(String::new()),
        Ok("seven77".to_owned()),
        Err(8),
        Err(19),
        Ok("12".to_owned()),
        Ok("last".to_owned()),
    ];
    for step in 1..=text.len() {
        assert_eq!(split(7, step, text), lines, "{step} bytes at a time");
    }
}

#[test]
fn a_long_line_at_the_end_is_told_once() {
    for step in 1..=12 {
        assert_eq!(split(7, step, b"0123456789ab"), [Err(12)], "{step} bytes at a time");
    }
}

#[test]
fn memory_is_given_back_after_a_long_line() {
    let mut splitter = Lines::new(OBJECT_LIMIT);
    let mut lines = 0;
    for piece in [&vec![b'a'; 1024 * 1024][..], b"\nshort\n"] {
        let _ = splitter.push(piece, |line| {
            lines += 1;
            assert!(matches!(line, Piece::Text(_)));
            ControlFlow::Continue(())
        });
    }
    assert_eq!(lines, 2);
    assert!(splitter.line.kept.capacity() <= KEPT, "{} bytes", splitter.line.kept.capacity());
}

#[test]
fn a_line_that_is_skipped_takes_no_memory() {
    let mut splitter = Lines::new(OBJECT_LIMIT);
    for _ in 0..100 {
        let _ = splitter.push(&vec![b'a'; 1024 * 1024], |_| panic!("no line yet"));
        assert!(splitter.line.kept.capacity() <= 2 * OBJECT_LIMIT);
    }
    assert!(splitter.line.kept.capacity() <= KEPT);
    let told = splitter.push(b"\n", |line| {
        let beginning = [b'a'; BEGINNING];
        assert_eq!(line, Piece::TooLong { length: 100 << 20, beginning: &beginning });
        ControlFlow::Break(())
    });
    assert!(told.is_break());
}
