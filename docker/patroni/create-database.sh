#!/bin/sh
# Patroni calls it once, at the first leader, with a connection string.
exec psql "$1" --no-psqlrc --set=ON_ERROR_STOP=1 --command='create database hub'
