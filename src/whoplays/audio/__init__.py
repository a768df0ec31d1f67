"""A file or stream of any format comes in; blocks of samples at one rate go out, with warnings about their quality."""
