"""Nothing comes in; example recordings, audio made from formulas, and a demonstration of the whole way go out."""
