// Package report measures a trial's folder and says what it has shown: as JSON and
// tables, and as one page that needs neither a network nor scripts and prints on A4.
//
//	metrics.json            everything: a metrics.Result
//	metrics.parquet, metrics-links.parquet, metrics-output.parquet
//	                        the figures, and the series of links and output
//	report.html             the page
//
// [Make] writes them, [Read] reads the first. Pages of other packages look alike by
// [Render].
package report
