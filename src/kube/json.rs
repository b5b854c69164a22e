//! JSON that others wrote, of which little is kept: of a list what its elements come to, one after the other; of
//! a text an excerpt. An object may have 1.5 MiB, and all of it may be one list. Pure.

use miniserde::de::{Seq, Visitor};
use miniserde::{Deserialize, json, make_place};

use crate::excerpt::excerpt;

/// Reads a body, whatever of it is wanted.
pub(super) fn read<T: Deserialize>(body: &[u8]) -> Option<T> {
    json::from_str(std::str::from_utf8(body).ok()?).ok()
}

make_place!(Place);

/// A list, of which nothing is kept but what [`Fold`] makes of it.
pub(super) struct Folded<G>(pub(super) G);

/// What a list comes to.
pub(super) trait Fold: Default {
    /// What is read of one element.
    type Element: Deserialize;

    /// Takes in the next element. It must not keep all of them.
    fn fold(&mut self, element: Self::Element);
}

impl<G: Fold> Visitor for Place<Folded<G>> {
    fn seq(&mut self) -> miniserde::Result<Box<dyn Seq + '_>> {
        Ok(Box::new(Folding { out: &mut self.out, so_far: G::default(), element: None }))
    }
}

impl<G: Fold> Deserialize for Folded<G> {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

struct Folding<'a, G: Fold> {
    out: &'a mut Option<Folded<G>>,
    so_far: G,
    element: Option<G::Element>,
}

impl<G: Fold> Folding<'_, G> {
    fn fold(&mut self) {
        if let Some(element) = self.element.take() {
            self.so_far.fold(element);
        }
    }
}

impl<G: Fold> Seq for Folding<'_, G> {
    fn element(&mut self) -> miniserde::Result<&mut dyn Visitor> {
        self.fold();
        Ok(Deserialize::begin(&mut self.element))
    }

    fn finish(&mut self) -> miniserde::Result<()> {
        self.fold();
        *self.out = Some(Folded(std::mem::take(&mut self.so_far)));
        Ok(())
    }
}

/// A text for people, as [`excerpt`] shows it.
pub(super) struct Excerpt(pub(super) String);

impl Visitor for Place<Excerpt> {
    fn string(&mut self, text: &str) -> miniserde::Result<()> {
        self.out = Some(Excerpt(excerpt(text)));
        Ok(())
    }
}

impl Deserialize for Excerpt {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

/// Any object. An `Option` of it says whether there is one.
#[derive(Deserialize)]
pub(super) struct AnyObject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Sum(u32);

    impl Fold for Sum {
        type Element = u32;

        fn fold(&mut self, element: u32) {
            self.0 += element;
        }
    }

    #[test]
    fn a_list_comes_to_what_its_elements_come_to() {
        let sum = |text| json::from_str::<Folded<Sum>>(text).map(|Folded(Sum(sum))| sum);
        assert_eq!((sum("[]").unwrap(), sum("[7]").unwrap(), sum("[1, 2, 4]").unwrap()), (0, 7, 7));
        for other in ["{}", "1", "null", "\"\"", "[1", "[1,]", "[\"a\"]"] {
            assert!(sum(other).is_err(), "{other}");
        }
        let or_none = |text| json::from_str::<Option<Folded<Sum>>>(text).unwrap().is_some();
        assert!(!or_none("null") && or_none("[]"));
    }

    #[test]
    fn an_object_is_there_whatever_is_in_it() {
        let is_there = |text| json::from_str::<Option<AnyObject>>(text).unwrap().is_some();
        assert!(is_there("{}") && is_there("{\"a\":[1,{}]}") && !is_there("null"));
        assert!(json::from_str::<AnyObject>("{\"a\":[1,}").is_err());
    }

    #[test]
    fn a_text_is_cleaned_as_it_is_read() {
        let read = |text| json::from_str::<Excerpt>(text).unwrap().0;
        assert_eq!(
            read(r#""x\n2026-11-23T09:00:00Z ERROR \u001bfake""#),
            "x 2026-11-23T09:00:00Z ERROR fake"
        );
    }
}
