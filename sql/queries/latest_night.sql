-- What the newest night measured: accuracies and load levels of every target.
SELECT * FROM latest;
