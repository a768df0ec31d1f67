"""A data set comes in; a trained model folder goes out, or a trained one adapted, exported or quantised."""
