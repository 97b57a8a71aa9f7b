"""The wire types, generated from protos/ by `make protos`. Not edited by hand."""
