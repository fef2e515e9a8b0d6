//! Trees as archives, by descriptor: apply, diff, whiteouts, codecs.
