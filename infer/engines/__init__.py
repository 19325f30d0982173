"""One module per engine; none imports its library before a model is opened."""
