//! Mistakes made on purpose: does the alarm ring?

/// A known mistake of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// Reported as persisted before the attempt to write.
    AcknowledgedEarly,
    /// Commits without waiting for the disk, though the promise is that of `fsync`.
    SyncForgotten,
    /// A failed attempt is reported as a success.
    FailureAcknowledged,
    /// Nobody syncs the names of new files, neither the store nor SQLite.
    NamesNotSynced,
    /// The newest record is written in a transaction of its own, before the others.
    OutsideTheTransaction,
}

impl Bug {
    pub(crate) const ALL: [Self; 5] = [
        Self::AcknowledgedEarly,
        Self::SyncForgotten,
        Self::FailureAcknowledged,
        Self::NamesNotSynced,
        Self::OutsideTheTransaction,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::AcknowledgedEarly => "acknowledged before it is written",
            Self::SyncForgotten => "commits without a sync",
            Self::FailureAcknowledged => "a failed attempt acknowledged",
            Self::NamesNotSynced => "names of new files are not synced",
            Self::OutsideTheTransaction => "a record outside of the transaction",
        }
    }
}
