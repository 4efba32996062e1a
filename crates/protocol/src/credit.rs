//! Credit arithmetic: how much one stage may still send to the next.
//!
//! The receiver grants, the sender holds and spends. Credit is counted in items *and* bytes, and the sum of
//! spent and free credit never exceeds what was granted. Pure: waiting and waking is the holder's business.

/// An amount of work: items and the bytes that they carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of items.
    pub items: u32,
    /// Their bytes.
    pub bytes: u64,
}

impl Amount {
    /// One item of so many bytes.
    #[must_use]
    pub const fn item(bytes: u64) -> Self {
        Self { items: 1, bytes }
    }
}

/// The sender's side of one edge.
#[derive(Debug, Clone)]
pub struct Credit {
    granted: Amount,
    spent: Amount,
}

impl Credit {
    /// An edge on which the receiver granted this much.
    #[must_use]
    pub const fn new(granted: Amount) -> Self {
        Self { granted, spent: Amount { items: 0, bytes: 0 } }
    }

    /// Takes credit if there is enough. An item larger than the whole grant passes when nothing else is
    /// under way, since it could otherwise never be sent.
    #[must_use = "without the credit nothing may be sent"]
    pub fn try_spend(&mut self, amount: Amount) -> bool {
        let items_fit = self.spent.items.saturating_add(amount.items) <= self.granted.items;
        let bytes_fit = self.spent.bytes.saturating_add(amount.bytes) <= self.granted.bytes || self.spent.bytes == 0;
        if items_fit && bytes_fit {
            self.spent.items += amount.items;
            self.spent.bytes = self.spent.bytes.saturating_add(amount.bytes);
        }
        items_fit && bytes_fit
    }

    /// Gives credit back. Returning more than was spent is a mistake of the caller.
    pub fn give_back(&mut self, amount: Amount) {
        debug_assert!(
            amount.items <= self.spent.items && amount.bytes <= self.spent.bytes,
            "more credit came back than was spent"
        );
        self.spent.items = self.spent.items.saturating_sub(amount.items);
        self.spent.bytes = self.spent.bytes.saturating_sub(amount.bytes);
    }

    /// What is under way.
    #[must_use]
    pub const fn spent(&self) -> Amount {
        self.spent
    }

    /// What the receiver allows in all.
    #[must_use]
    pub const fn granted(&self) -> Amount {
        self.granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_item_larger_than_the_grant_passes_alone() {
        let mut credit = Credit::new(Amount { items: 4, bytes: 10 });
        assert!(credit.try_spend(Amount::item(50)));
        assert!(!credit.try_spend(Amount::item(1)));
        credit.give_back(Amount::item(50));
        assert!(credit.try_spend(Amount::item(1)));
    }

    proptest! {
        #[test]
        fn spent_never_exceeds_granted_and_returns_to_zero(steps in prop::collection::vec((0_u64..40, any::<bool>()), 0..200)) {
            let granted = Amount { items: 5, bytes: 100 };
            let mut credit = Credit::new(granted);
            let mut held = Vec::new();
            for (bytes, take) in steps {
                if take {
                    if credit.try_spend(Amount::item(bytes)) { held.push(bytes); }
                } else if let Some(bytes) = held.pop() {
                    credit.give_back(Amount::item(bytes));
                }
                prop_assert!(credit.spent().items <= granted.items);
                prop_assert!(credit.spent().bytes <= granted.bytes);
                prop_assert_eq!(credit.spent().items as usize, held.len());
            }
            for bytes in held { credit.give_back(Amount::item(bytes)); }
            prop_assert_eq!(credit.spent(), Amount::default());
        }
    }
}
