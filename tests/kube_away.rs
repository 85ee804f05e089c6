//! A cluster that loses a kind or is away: what is there stays, and things go on by themselves.
