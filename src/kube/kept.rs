//! What is kept of JSON that others wrote: of a list what its elements come to, one after the other; of a
//! text an excerpt. An object may have 1.5 MiB, and all of it may be one list. Pure.

use miniserde::de::{Deserialize, Map, Seq, Visitor};
use miniserde::make_place;

use crate::excerpt::excerpt;

make_place!(Place);

/// A list, of which nothing is kept but what [`Gather`] makes of it.
pub(super) struct Gathered<G>(pub(super) G);

/// What a list comes to.
pub(super) trait Gather: Default {
    /// What is read of one element.
    type Element: Deserialize;

    /// Takes in the next element. It must not keep all of them.
    fn gather(&mut self, element: Self::Element);
}

impl<G: Gather> Visitor for Place<Gathered<G>> {
    fn seq(&mut self) -> miniserde::Result<Box<dyn Seq + '_>> {
        Ok(Box::new(Gathering { out: &mut self.out, so_far: G::default(), element: None }))
    }
}

impl<G: Gather> Deserialize for Gathered<G> {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

struct Gathering<'a, G: Gather> {
    out: &'a mut Option<Gathered<G>>,
    so_far: G,
    element: Option<G::Element>,
}

impl<G: Gather> Gathering<'_, G> {
    fn gather(&mut self) {
        if let Some(element) = self.element.take() {
            self.so_far.gather(element);
        }
    }
}

impl<G: Gather> Seq for Gathering<'_, G> {
    fn element(&mut self) -> miniserde::Result<&mut dyn Visitor> {
        self.gather();
        Ok(Deserialize::begin(&mut self.element))
    }

    fn finish(&mut self) -> miniserde::Result<()> {
        self.gather();
        *self.out = Some(Gathered(std::mem::take(&mut self.so_far)));
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

/// Any value but null. An `Option` of it says whether there is one.
pub(super) struct Present;

impl Visitor for Place<Present> {
    fn string(&mut self, _: &str) -> miniserde::Result<()> {
        self.is_present();
        Ok(())
    }

    fn boolean(&mut self, _: bool) -> miniserde::Result<()> {
        self.is_present();
        Ok(())
    }

    fn negative(&mut self, _: i64) -> miniserde::Result<()> {
        self.is_present();
        Ok(())
    }

    fn nonnegative(&mut self, _: u64) -> miniserde::Result<()> {
        self.is_present();
        Ok(())
    }

    fn float(&mut self, _: f64) -> miniserde::Result<()> {
        self.is_present();
        Ok(())
    }

    fn seq(&mut self) -> miniserde::Result<Box<dyn Seq + '_>> {
        self.out = Some(Present);
        Ok(Box::new(Ignored))
    }

    fn map(&mut self) -> miniserde::Result<Box<dyn Map + '_>> {
        self.out = Some(Present);
        Ok(Box::new(Ignored))
    }
}

impl Place<Present> {
    fn is_present(&mut self) {
        self.out = Some(Present);
    }
}

impl Deserialize for Present {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

struct Ignored;

impl Seq for Ignored {
    fn element(&mut self) -> miniserde::Result<&mut dyn Visitor> {
        Ok(<dyn Visitor>::ignore())
    }

    fn finish(&mut self) -> miniserde::Result<()> {
        Ok(())
    }
}

impl Map for Ignored {
    fn key(&mut self, _: &str) -> miniserde::Result<&mut dyn Visitor> {
        Ok(<dyn Visitor>::ignore())
    }

    fn finish(&mut self) -> miniserde::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use miniserde::json;

    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Sum(u32);

    impl Gather for Sum {
        type Element = u32;

        fn gather(&mut self, element: u32) {
            self.0 += element;
        }
    }

    #[test]
    fn a_list_comes_to_what_its_elements_come_to() {
        let sum = |text| json::from_str::<Gathered<Sum>>(text).map(|Gathered(Sum(sum))| sum);
        assert_eq!((sum("[]").unwrap(), sum("[7]").unwrap(), sum("[1, 2, 4]").unwrap()), (0, 7, 7));
        for other in ["{}", "1", "null", "\"\"", "[1", "[1,]", "[\"a\"]"] {
            assert!(sum(other).is_err(), "{other}");
        }
        let or_none = |text| json::from_str::<Option<Gathered<Sum>>>(text).unwrap().is_some();
        assert!(!or_none("null") && or_none("[]"));
    }

    #[test]
    fn whatever_is_there_is_present() {
        let is_there = |text| json::from_str::<Option<Present>>(text).unwrap().is_some();
        for value in ["{}", "{\"a\":[1,{}]}", "[]", "[[1],2]", "\"\"", "0", "-1", "0.5", "false"] {
            assert!(is_there(value), "{value}");
        }
        assert!(!is_there("null"));
        assert!(json::from_str::<Present>("{\"a\":[1,}").is_err());
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
