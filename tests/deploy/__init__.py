"""What is deployed: manifests, the image, units."""
