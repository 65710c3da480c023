#!/bin/sh
# In place of node, which nothing here calls.
echo "v0.0.0-standin"
