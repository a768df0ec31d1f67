"""A data set or rendered material comes in; a trained model folder goes out, or a trained one adapted, exported or quantised."""
