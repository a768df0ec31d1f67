"""A model and a data set come in; metrics, figures and a page about the model's quality go out."""
