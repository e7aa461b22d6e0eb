echo METRIC x=0
