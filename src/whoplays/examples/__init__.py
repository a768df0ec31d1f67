"""Nothing comes in; example recordings and audio made from formulas go out."""
