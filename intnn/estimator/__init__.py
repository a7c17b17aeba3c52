"""Integer training with scikit-learn's habits."""
