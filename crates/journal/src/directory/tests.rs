//! What every directory promises, and what each one adds.
