"""Integer training as an estimator with scikit-learn's habits."""
