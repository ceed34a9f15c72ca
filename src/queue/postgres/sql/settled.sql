SELECT place, lane, (SELECT now FROM t) AS now FROM x
