#!/bin/sh
# The first start makes an empty wiki; every start serves it where Terrace says.
set -eu
tiddlywiki=node_modules/tiddlywiki/tiddlywiki.js
[ -e wiki/tiddlywiki.info ] || node $tiddlywiki wiki --init server
exec node $tiddlywiki wiki --listen host=127.0.0.1 port="$PORT"
